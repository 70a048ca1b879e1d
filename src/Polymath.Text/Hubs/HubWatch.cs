namespace Polymath.Text.Hubs;

/// <summary>Observes the requests to a hub, on the calling thread. The base class reports nothing.</summary>
public class HubWatch
{
    /// <summary>Called when work begins that can be stopped.</summary>
    /// <param name="stop">Stops it; bytes that have arrived are kept.</param>
    /// <returns>An object that is disposed when the work is finished.</returns>
    public virtual IDisposable? Begin(Action stop) => null;

    /// <summary>Receives the progress of the work.</summary>
    /// <param name="activity">What is being done.</param>
    /// <param name="done">The bytes that have arrived.</param>
    /// <param name="total">The total number of bytes.</param>
    public virtual void Progress(string activity, long done, long total)
    {
    }

    /// <summary>Receives a note.</summary>
    /// <param name="text">One line.</param>
    public virtual void Note(string text)
    {
    }
}

/// <summary>The commits that sources have been resolved to: with them, a resumed run reads the same bytes.</summary>
/// <param name="known">The commits by source, from an earlier run.</param>
/// <param name="changed">Receives all commits whenever one is added.</param>
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
