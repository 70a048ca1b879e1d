using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// The parts of files that are one document each: a hash of the whole would put all of it into one part, so the last shares of each file
/// are for validation and test, cut at the end of a line.
/// </summary>
internal static class FileParts
{
    /// <summary>The rows of some files.</summary>
    /// <param name="files">A row for each file.</param>
    /// <param name="split">The shares of the text.</param>
    internal static List<Row> Of(List<CollectedRow> files, SplitSpec split) => [.. files.SelectMany(file => Cut(file, split))];

    private static IEnumerable<Row> Cut(CollectedRow file, SplitSpec split)
    {
        var text = file.Fields["text"];
        var test = EndOfLine(text, (int)Math.Round(text.Length * (1 - split.Test)));
        var validation = EndOfLine(text, (int)Math.Round(text.Length * Math.Max(0, 1 - split.Test - split.Validation)));
        (int From, int Until, DataSplit Part)[] parts =
            [(0, validation, DataSplit.Train), (validation, test, DataSplit.Validation), (test, text.Length, DataSplit.Test)];
        foreach (var (from, until, part) in parts.Where(part => part.Until > part.From))
        {
            var fields = file.Fields.ToDictionary(pair => pair.Key, pair => pair.Key == "text" ? text[from..until] : pair.Value);
            yield return new Row(RowHash.KeyOf(fields), part, fields, Place: file.Place);
        }
    }

    // The end of the line at a place; a text without another line end is cut at the place itself.
    private static int EndOfLine(string text, int place)
    {
        if (place <= 0 || place >= text.Length)
            return Math.Clamp(place, 0, text.Length);
        if (text.IndexOf('\n', place - 1) is >= 0 and var end)
            return end + 1;
        return char.IsLowSurrogate(text[place]) ? place + 1 : place;
    }
}
