namespace Polymath.Recipes;

/// <summary>Collects faults. It remembers which settings have a fault, so that a check that depends on them can skip its report.</summary>
internal sealed class FaultList
{
    private readonly List<Fault> faults = [];
    private readonly HashSet<string> damaged = [];

    /// <summary>The faults so far, each once, in the order of the file.</summary>
    public IReadOnlyList<Fault> Sorted() =>
        [.. faults.Distinct().OrderBy(fault => fault.Line == 0).ThenBy(fault => fault.Line).ThenBy(fault => fault.Column)];

    /// <summary>Whether there is any fault.</summary>
    public bool Any => faults.Count > 0;

    /// <summary>Adds a fault.</summary>
    public void Add(string path, Place place, string problem, string hint)
    {
        faults.Add(new Fault(
            path,
            place.Line,
            place.Column,
            problem,
            hint) { File = place.Source });
        Damage(path);
    }

    /// <summary>Marks a setting as one that cannot be relied on.</summary>
    public void Damage(string path) => damaged.Add(path);

    /// <summary>Whether a setting can be relied on: neither it nor anything in it has a fault.</summary>
    public bool Sound(string path) => !damaged.Contains(path)
        && !damaged.Any(
            other => other.StartsWith(path, StringComparison.Ordinal) && other.Length > path.Length && other[path.Length] is ('.' or '['));
}
