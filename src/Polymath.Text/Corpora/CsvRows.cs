using System.Text.Json.Nodes;
using CsvHelper;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads rows from values that are separated by commas, semicolons or tabs, with a header line (RFC 4180).</summary>
internal static class CsvRows
{
    private static readonly char[] Separators = [',', ';', '\t', '|'];

    /// <summary>Reads a file's rows.</summary>
    /// <exception cref="InputException">A quote is out of place, a row has too few or too many values, or a column has no unique
    /// name.</exception>
    public static void Read(string file, CheckedTextStream stream, Action<RowPlace, JsonObject> add)
    {
        var options = CsvReaderOptions.Default with
        {
            Separator = SeparatorOf(file, stream.FirstLine()),
            MalformedData = CsvMalformedDataHandling.Throw,
            FieldCountMismatch = CsvFieldCountHandling.Throw,
            TrackLineNumbers = true,
        };
        try
        {
            using var reader = CsvReader.Create(stream, options, true);
            reader.ReadHeader();
            var header = reader.Headers.ToArray();
            // pandas writes its index as a first column without a name, and reads it under this one.
            if (header is ["", _, ..])
                header[0] = "Unnamed: 0";
            RequireNames(file, header);
            for (var number = 1L; reader.Read(); number++)
            {
                var values = new JsonObject();
                for (var i = 0; i < header.Length; i++)
                    values[header[i]] = reader.GetString(i);
                add(new RowPlace(file, "row", number), values);
            }
        }
        catch (CsvFormatException fault)
        {
            throw new InputException(
                $"{file}, line {fault.LineNumber}: {fault.Message.TrimEnd('.')}. Put values that hold the separator, quotes or line breaks "
                    + "in quotes, and write quotes in them twice.",
                fault);
        }
    }

    // The separator is the sign that occurs most often in the header, outside of quotes; in a .tsv file it is the tab, if there is one.
    private static char SeparatorOf(string file, string header)
    {
        var counts = new int[Separators.Length];
        var quoted = false;
        foreach (var letter in header)
        {
            quoted ^= letter == '"';
            var at = Array.IndexOf(Separators, letter);
            if (!quoted && at >= 0)
                counts[at]++;
        }
        var tabbed = Path.GetExtension(Compression.Bare(file)).Equals(".tsv", StringComparison.OrdinalIgnoreCase);
        if (tabbed && counts[Array.IndexOf(Separators, '\t')] > 0)
            return '\t';
        return Separators[Array.IndexOf(counts, counts.Max())];
    }

    private static void RequireNames(string file, string[] header)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (place, name) in header.Index())
        {
            if (name.Length == 0)
                throw new InputException($"{file}, line 1: column {place + 1} has no name. Give each column a name of its own.");
            if (!seen.Add(name))
                throw new InputException($"{file}, line 1: column {place + 1} is a second '{name}'. Give each column a name of its own.");
        }
    }
}
