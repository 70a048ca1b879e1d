using System.Text;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads the rows of one file.</summary>
internal static class RowReader
{
    private static readonly JsonSerializerOptions Strict = new() { AllowTrailingCommas = false, DefaultBufferSize = 1 << 16 };

    /// <summary>Whether a file's name tells a format that can be read.</summary>
    public static bool IsReadable(string file) =>
        Path.GetExtension(file).ToLowerInvariant() is ".txt" or ".jsonl" or ".ndjson" or ".json" or ".csv" or ".parquet";

    /// <summary>The format of a file, told from its name.</summary>
    /// <exception cref="InputException">The name tells nothing.</exception>
    public static FileFormat FormatOf(string file) => Path.GetExtension(file).ToLowerInvariant() switch
    {
        ".txt" => FileFormat.Txt,
        ".jsonl" or ".ndjson" => FileFormat.Jsonl,
        ".json" => FileFormat.Json,
        ".csv" => FileFormat.Csv,
        ".parquet" => FileFormat.Parquet,
        var other => throw new InputException($"{file}: the ending '{other}' does not tell the format. Add 'format: txt' (or jsonl, json, "
            + "csv, parquet) to the recipe, or --format txt to the command."),
    };

    /// <summary>Reads a file's rows.</summary>
    /// <exception cref="InputException">The file is damaged or of another format.</exception>
    public static void Read(string file, FileFormat format, RowCollector rows, Action<long>? progress)
    {
        if (format == FileFormat.Parquet)
        {
            ParquetRows.Read(file, rows, progress);
            return;
        }

        using var stream = new CheckedTextStream(file, progress);
        switch (format)
        {
            case FileFormat.Txt:
                ReadText(file, stream, rows);
                break;
            case FileFormat.Jsonl:
                ReadJsonLines(file, stream, rows);
                break;
            case FileFormat.Json:
                ReadJson(file, stream, rows);
                break;
            default:
                CsvRows.Read(file, stream, rows);
                break;
        }
    }

    private static void ReadText(string file, Stream stream, RowCollector rows)
    {
        string[] keys = ["text"];
        foreach (var (_, bytes) in TextLines.Read(file, stream))
        {
            if (bytes.Length > 0)
            {
                var text = Encoding.UTF8.GetString(bytes.Span);
                rows.Add(keys, (path, _) => path == "text" ? text : null);
            }
        }
    }

    private static void ReadJsonLines(string file, Stream stream, RowCollector rows)
    {
        foreach (var (number, bytes) in TextLines.Read(file, stream))
        {
            if (bytes.Span.IndexOfAnyExcept(" \t"u8) < 0)
                continue;
            try
            {
                using var document = JsonDocument.Parse(bytes);
                AddObject($"{file}, line {number}", document.RootElement, rows);
            }
            catch (JsonException fault)
            {
                throw new InputException($"{file}, line {number}, byte {fault.BytePositionInLine + 1} is not JSON: "
                    + $"{JsonPart.FirstSentence(fault.Message)} Each line must be one whole object.", fault);
            }
        }
    }

    private static void ReadJson(string file, Stream stream, RowCollector rows)
    {
        try
        {
            var count = 0;
            foreach (var element in JsonSerializer.DeserializeAsyncEnumerable<JsonElement>(stream, Strict).ToBlockingEnumerable())
                AddObject($"{file}, item {++count}", element, rows);
        }
        catch (JsonException fault)
        {
            throw new InputException(
                $"{file}, line {fault.LineNumber.GetValueOrDefault() + 1}, byte {fault.BytePositionInLine.GetValueOrDefault() + 1} is not "
                    + "a JSON array of objects: "
                    + $"{(fault.Message.Contains("could not be converted", StringComparison.Ordinal) ? "it does not begin with '['." : JsonPart.FirstSentence(fault.Message))} For one object a line set 'format: jsonl' (--format jsonl).",
                fault);
        }
    }

    private static void AddObject(string where, JsonElement element, RowCollector rows)
    {
        if (element.ValueKind != JsonValueKind.Object)
            throw new InputException($"{where}: a row must be an object, found "
                + $"{element.ValueKind switch { JsonValueKind.Array => "a list", JsonValueKind.String => "a text", _ => element.GetRawText() }}. Write rows as {{\"field\": \"value\"}}.");
        try
        {
            JsonValues.AddRow(rows, element);
        }
        catch (InputException fault) when (rows.Shapes)
        {
            throw new InputException($"{where}: {fault.Message}", fault);
        }
        catch (ArgumentException fault) when (rows.Shapes)
        {
            throw new InputException($"{where}: a name stands twice in the row. Remove one of the two.", fault);
        }
        catch (InvalidOperationException fault)
        {
            throw new InputException(
                $"{where}: a text holds half a surrogate pair (\\uD800 to \\uDFFF alone). Write the character as it is.",
                fault);
        }
    }
}
