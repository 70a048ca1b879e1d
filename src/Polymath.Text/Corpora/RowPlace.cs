namespace Polymath.Text;

/// <summary>The place of a row: a file and the number of its line, item or row.</summary>
/// <param name="File">The file.</param>
/// <param name="Unit">What is counted: <c>line</c>, <c>item</c> or <c>row</c>.</param>
/// <param name="Number">The number, from 1.</param>
public readonly record struct RowPlace(string File, string Unit, long Number)
{
    /// <summary>The place in words, for messages.</summary>
    public override string ToString() => $"{File}, {Unit} {Number}";
}
