namespace Polymath.Recipes;

/// <summary>One thing that is wrong with a recipe: where, what was found, and what to type instead.</summary>
/// <param name="Path">The setting, such as <c>stages.pretrain.optimizer.rate</c>; empty for the file as a whole.</param>
/// <param name="Line">The line, from 1; 0 when the fault does not lie in the file.</param>
/// <param name="Column">The column, from 1; 0 when the fault does not lie in the file.</param>
/// <param name="Problem">What was found.</param>
/// <param name="Hint">What to do about it.</param>
public sealed record Fault(
    string Path,
    int Line,
    int Column,
    string Problem,
    string Hint)
{
    /// <summary>The file's name, or the override, in which the fault lies.</summary>
    public string File { get; init; } = "";

    /// <summary>
    /// The fault in one line, such as <c>tang.yaml:12:5  stages.pretrain.optimizer.rat: unknown key 'rat'; did you mean 'rate'?</c>.
    /// </summary>
    public override string ToString()
    {
        var place = Line > 0 ? $"{File}:{Line}:{Column}" : File;
        var subject = Path.Length > 0 ? $"{Path}: {Problem}" : Problem;
        return $"{place}  {subject}; {Hint}".Trim();
    }
}
