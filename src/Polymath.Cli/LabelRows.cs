using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Cli;

/// <summary>A row that is to be labelled.</summary>
/// <param name="Fields">Its fields.</param>
/// <param name="Place">Its file and line.</param>
internal sealed record LabelRow(JsonObject Fields, string Place)
{
    /// <summary>A field's value as text; null when it is missing or empty.</summary>
    internal string? Text(string field) => Fields[field] switch
    {
        JsonValue value when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>() is { Length: > 0 } text ? text : null,
        JsonValue value => value.ToJsonString(),
        _ => null,
    };

    /// <summary>A field's value as text, the items of a list one a line; null when it is missing or empty.</summary>
    internal string? Words(string field) => Fields[field] is JsonArray { Count: > 0 } list
        ? string.Join('\n', list.Select(item => item is JsonValue value && value.TryGetValue<string>(out var text) ? text : $"{item}"))
        : Text(field);
}

/// <summary>The rows of a file for <c>classify</c>, and which of their fields hold the text and the label.</summary>
/// <param name="rows">The rows, at least one.</param>
/// <param name="file">The file.</param>
/// <param name="table">Whether it has columns with a header.</param>
internal sealed class LabelRows(IReadOnlyList<LabelRow> rows, string file, bool table)
{
    // Usual names of the column with the text, when there are several columns.
    private static readonly string[] usual = ["text", "sentence", "review", "content", "comment", "body"];

    internal IReadOnlyList<LabelRow> Rows => rows;

    /// <summary>Reads a CSV or TSV file by its ending, or JSON lines.</summary>
    /// <param name="file">The file; <c>-</c> for JSON lines on standard input.</param>
    /// <exception cref="InputException">The file is missing or damaged, or has no rows.</exception>
    internal static LabelRows Read(string file)
    {
        const string sample = "{\"text\": \"...\"}";
        if (file != "-" && !File.Exists(file))
            throw new InputException($"--input is {file}, but there is no such file. Name a CSV or TSV file, or one with an object such "
                + $"as {sample} on each line, or - for standard input.");
        List<LabelRow> rows =
            [.. TableFile.Is(file) ? TableFile.Read(file).Select(row => new LabelRow(row.Values, row.Place)) : Lines(file, sample)];
        return rows.Count > 0
            ? new LabelRows(rows, file, TableFile.Is(file))
            : throw new InputException($"--input {file} has no rows. Write a header and rows, or an object such as {sample} on each line.");
    }

    private static IEnumerable<LabelRow> Lines(string file, string sample) =>
        (file == "-" ? Console.In.ReadToEnd().Split('\n') : File.ReadAllLines(file))
            .Select((line, i) => (Line: line.Trim(), Place: $"{file}, line {i + 1}")).Where(item => item.Line.Length > 0)
            .Select(item => new LabelRow(
                PromptRow.Parse(item.Line, item.Place, sample)
                    ?? throw new InputException($"{item.Place}: there is no text. Write an object such as {sample}."),
                item.Place));

    private string Unit => table ? "column" : "field";

    private IEnumerable<string> Names => rows[0].Fields.Select(pair => pair.Key);

    /// <summary>The field with the text: the asked one, or the one that is found.</summary>
    /// <param name="asked">The name on the command line; null when it is left out.</param>
    /// <param name="label">The field with the label; null when there is none.</param>
    /// <exception cref="InputException">There is no such field, or several may be meant.</exception>
    internal string TextField(string? asked, string? label)
    {
        if (asked is not null) return Known(asked, "--text");
        if (!table) return "text";
        List<string> others = [.. Names.Where(name => name != label)];
        if (others.Count == 1) return others[0];
        return Array.Find(usual, name => others.Contains(name, StringComparer.OrdinalIgnoreCase)) is { } found
            ? others.First(name => name.Equals(found, StringComparison.OrdinalIgnoreCase))
            : throw new InputException($"{file} has the columns {string.Join(", ", Names)}. Name the one with the text: --text COLUMN.");
    }

    /// <summary>The field with the label that a row should get; null when there is none.</summary>
    /// <param name="asked">The name on the command line; null when it is left out.</param>
    /// <param name="trained">The field in training; null when it is not known.</param>
    /// <exception cref="InputException">There is no such field.</exception>
    internal string? LabelField(string? asked, string? trained)
    {
        if (asked is not null) return Known(asked, "--label");
        if (trained is not null && rows.Any(row => row.Fields.ContainsKey(trained))) return trained;
        return rows.Any(row => row.Fields.ContainsKey("label")) ? "label" : null;
    }

    private string Known(string name, string option) => rows.Any(row => row.Fields.ContainsKey(name))
        ? name
        : throw new InputException($"{file}: there is no {Unit} '{name}', which {option} names; "
            + $"{Nearest.Hint(name, [.. Names], Unit + "s")}");

    /// <summary>The text of every row.</summary>
    /// <param name="field">The field with the text.</param>
    /// <exception cref="InputException">A row has none.</exception>
    internal IReadOnlyList<string> Texts(string field) => [.. rows.Select(row => row.Text(field)
        ?? throw new InputException($"{row.Place}: there is no {field}. Write an object such as {{\"{field}\": \"...\"}}, or name the "
            + $"{Unit} with the text: --text NAME."))];

    /// <summary>The fields of every row that a prompt asks for.</summary>
    /// <param name="needed">The prompt's fields.</param>
    /// <param name="asked">The name of the text's field on the command line; null when it is left out.</param>
    /// <param name="label">The field with the label; null when there is none.</param>
    /// <exception cref="InputException">A row lacks one.</exception>
    internal IReadOnlyList<IReadOnlyDictionary<string, string>> Fields(IReadOnlyList<string> needed, string? asked, string? label)
    {
        // A prompt with one field takes the text, whatever its column is named.
        if (needed.Count == 1 && (asked is not null || !rows[0].Fields.ContainsKey(needed[0])))
            return [.. Texts(TextField(asked, label)).Select(text => new Dictionary<string, string> { [needed[0]] = text })];
        return [.. rows.Select(row => (IReadOnlyDictionary<string, string>)needed.ToDictionary(name => name, name => row.Text(name)
            ?? throw new InputException($"{row.Place}: there is no {name}, which the stage's prompt asks for; it needs "
                + $"{string.Join(", ", needed)}. Name the {Unit}s so.")))];
    }
}
