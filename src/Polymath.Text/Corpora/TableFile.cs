using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// A file of values separated by commas, semicolons or tabs, with a header line: the rows of verbs that answer row by row.
/// </summary>
public static class TableFile
{
    /// <summary>Whether a file's name shows such a file.</summary>
    /// <param name="file">The file.</param>
    public static bool Is(string file) => Path.GetExtension(file).ToLowerInvariant() is ".csv" or ".tsv";

    /// <summary>The rows, in order, each with the name of its place.</summary>
    /// <param name="file">The file.</param>
    /// <exception cref="InputException">The file is missing or damaged.</exception>
    public static IReadOnlyList<(JsonObject Values, string Place)> Read(string file)
    {
        var rows = new List<(JsonObject, string)>();
        using var stream = CheckedTextStream.Open(file, null);
        CsvRows.Read(file, stream, (place, values) => rows.Add((values, place.ToString())));
        return rows;
    }
}
