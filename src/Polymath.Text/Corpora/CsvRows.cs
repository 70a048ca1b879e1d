using CsvHelper;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads rows from comma-separated values with a header line (RFC 4180).</summary>
internal static class CsvRows
{
    /// <summary>Reads a file's rows.</summary>
    /// <exception cref="InputException">A quote is out of place, a row has too few or too many values, or a column has no name of its
    /// own.</exception>
    public static void Read(string file, Stream stream, RowCollector rows)
    {
        var options = CsvReaderOptions.Default with
        {
            Separator = ',',
            MalformedData = CsvMalformedDataHandling.Throw,
            FieldCountMismatch = CsvFieldCountHandling.Throw,
            TrackLineNumbers = true,
        };
        try
        {
            using var reader = CsvReader.Create(stream, options, true);
            reader.ReadHeader();
            var header = reader.Headers.ToArray();
            var places = Places(file, header);
            while (reader.Read())
                rows.Add(header, (path, _) => places.TryGetValue(path, out var place) ? reader.GetString(place) : null);
        }
        catch (CsvFormatException fault)
        {
            throw new InputException(
                $"{file}, line {fault.LineNumber}: {fault.Message.TrimEnd('.')}. Put values that hold commas, quotes or line breaks in "
                    + "quotes, and write quotes in them twice.",
                fault);
        }
    }

    private static Dictionary<string, int> Places(string file, string[] header)
    {
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (place, name) in header.Index())
        {
            if (name.Length == 0 || !places.TryAdd(name, place))
                throw new InputException($"{file}, line 1: column {place + 1} "
                    + $"{(name.Length == 0 ? "has no name" : $"is a second '{name}'")}. Give each column a name of its own.");
        }

        return places;
    }
}
