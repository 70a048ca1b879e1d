namespace Polymath.Text.Hubs;

/// <summary>Is told what a hub is asked for, on the thread that asked. By itself it keeps silent.</summary>
public class HubWatch
{
    /// <summary>Work begins that can be stopped.</summary>
    /// <param name="stop">Stops it; what has arrived is kept.</param>
    /// <returns>What is disposed when the work is over.</returns>
    public virtual IDisposable? Begin(Action stop) => null;

    /// <summary>Tells how far the work has come.</summary>
    /// <param name="activity">What is being done.</param>
    /// <param name="done">The bytes that are there.</param>
    /// <param name="total">The bytes there are to be.</param>
    public virtual void Progress(string activity, long done, long total)
    {
    }

    /// <summary>Tells something worth knowing.</summary>
    /// <param name="text">One line.</param>
    public virtual void Note(string text)
    {
    }
}

/// <summary>The commits that sources have been resolved to: a run reads the same bytes however often it is resumed.</summary>
/// <param name="known">The commits by source, from an earlier time.</param>
/// <param name="changed">Is told all commits whenever one is added.</param>
public sealed class HubPins(IReadOnlyDictionary<string, string>? known = null, Action<IReadOnlyDictionary<string, string>>? changed = null)
{
    private readonly SortedDictionary<string, string> commits = new(known?.ToDictionary() ?? [], StringComparer.Ordinal);

    /// <summary>The commits by source.</summary>
    public IReadOnlyDictionary<string, string> Commits => commits;

    /// <summary>Adds a commit.</summary>
    internal void Add(string source, string commit)
    {
        if (commits.TryGetValue(source, out var same) && same == commit) return;
        commits[source] = commit;
        changed?.Invoke(commits);
    }
}
