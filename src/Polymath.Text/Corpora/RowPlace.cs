namespace Polymath.Text;

/// <summary>Where a row stands: a file and the number of its line, item or row.</summary>
/// <param name="File">The file.</param>
/// <param name="Unit">What is counted: <c>line</c>, <c>item</c> or <c>row</c>.</param>
/// <param name="Number">The number, from 1.</param>
public readonly record struct RowPlace(string File, string Unit, long Number)
{
    /// <summary>The place as messages name it.</summary>
    public override string ToString() => $"{File}, {Unit} {Number}";
}
