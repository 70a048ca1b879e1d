using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads the rows of one file.</summary>
internal static class RowReader
{
    private const string Formats = "txt, jsonl, json, csv, parquet or arrow";

    /// <summary>Whether a file's name shows a format that can be read.</summary>
    public static bool IsReadable(string file) => Known(file) is not null;

    /// <summary>The format of a file, inferred from its name.</summary>
    /// <exception cref="InputException">The name does not show a format.</exception>
    public static FileFormat FormatOf(string file) => Known(file) ?? throw new InputException(
        $"{file}: the ending '{Path.GetExtension(file)}' does not show the format. Add 'format: jsonl' ({Formats}) to the recipe, "
        + "or --format jsonl to the command.");

    /// <summary>Reads a file's rows.</summary>
    /// <exception cref="InputException">The file is damaged or of another format.</exception>
    public static void Read(string file, FileFormat format, RowCollector rows, Action<long>? progress)
    {
        if (rows.Documents is not null && format != FileFormat.Txt)
            throw new InputException($"{file}: 'documents' says how a text file is cut, and this is no text file. Leave it out.");
        switch (format)
        {
            case FileFormat.Parquet:
                ParquetRows.Read(file, rows, progress);
                return;
            case FileFormat.Arrow:
                ArrowRows.Read(file, rows, progress);
                return;
        }
        using var stream = CheckedTextStream.Open(file, progress);
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
                CsvRows.Read(file, stream, rows.Add);
                break;
        }
    }

    private static FileFormat? Known(string file) => Path.GetExtension(Compression.Bare(file)).ToLowerInvariant() switch
    {
        ".txt" or ".text" => FileFormat.Txt,
        ".jsonl" or ".ndjson" => FileFormat.Jsonl,
        ".json" => FileFormat.Json,
        ".csv" or ".tsv" => FileFormat.Csv,
        ".parquet" => FileFormat.Parquet,
        ".arrow" or ".feather" => FileFormat.Arrow,
        _ => null,
    };

    private static void ReadText(string file, CheckedTextStream stream, RowCollector rows)
    {
        var lines = TextLines.Read(file, stream).Select(line => (line.Number, Encoding.UTF8.GetString(line.Bytes.Span)));
        foreach (var (number, text) in TextDocuments.Of(lines, rows.Documents))
            rows.Add(new RowPlace(file, "line", number), new JsonObject { ["text"] = text });
    }

    private static void ReadJsonLines(string file, CheckedTextStream stream, RowCollector rows)
    {
        foreach (var (number, bytes) in TextLines.Read(file, stream))
        {
            if (bytes.Span.IndexOfAnyExcept(" \t"u8) < 0)
                continue;
            var place = new RowPlace(file, "line", number);
            try
            {
                rows.Add(place, ObjectOf(place, JsonNode.Parse(bytes.Span, documentOptions: JsonFault.Strict)));
            }
            catch (JsonException fault)
            {
                var at = (int)fault.BytePositionInLine.GetValueOrDefault();
                throw new InputException(
                    $"{place}, byte {at + 1}: {JsonFault.Tell(fault, bytes.Span, at)} Each line must be one whole object.",
                    fault);
            }
        }
    }

    // One list of objects, or objects one after another, as in many files that end in .json.
    private static void ReadJson(string file, CheckedTextStream stream, RowCollector rows)
    {
        var listed = stream.Peek() == '[';
        var place = new RowPlace(file, "item", 0);
        try
        {
            foreach (var node in JsonSerializer.DeserializeAsyncEnumerable<JsonNode>(stream, !listed, JsonFault.StrictItems)
                .ToBlockingEnumerable())
            {
                place = place with { Number = place.Number + 1 };
                rows.Add(place, ObjectOf(place, node));
            }
        }
        catch (JsonException fault)
        {
            var line = fault.LineNumber.GetValueOrDefault() + 1;
            var at = fault.BytePositionInLine.GetValueOrDefault();
            var around = JsonFault.Around(file, line, at);
            throw new InputException(
                $"{file}, line {line}, byte {at + 1} (item {place.Number + 1}): {JsonFault.Tell(fault, around.Bytes, around.At)} "
                + "Write one list of objects, or an object a line.",
                fault);
        }
    }

    private static JsonObject ObjectOf(RowPlace place, JsonNode? node) => node as JsonObject
        ?? throw new InputException($"{place}: a row must be an object, found {KindOf(node)}. Write rows as {{\"field\": \"value\"}}; one "
            + "list of all rows is 'format: json'.");

    private static string KindOf(JsonNode? node) => node switch
    {
        JsonArray => "a list",
        JsonValue value when value.GetValueKind() == JsonValueKind.String => "a text",
        _ => node?.ToJsonString() ?? "null",
    };
}
