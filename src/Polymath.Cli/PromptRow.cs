using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Cli;

/// <summary>A row of an input file.</summary>
/// <param name="Prompt">The text to be answered.</param>
/// <param name="Adapters">The names of the adapters that answer it; empty for the base.</param>
/// <param name="Fields">The row's fields.</param>
/// <param name="Place">Its file and line.</param>
internal sealed record PromptRow(string Prompt, IReadOnlyList<string> Adapters, JsonObject Fields, string Place)
{
    /// <summary>The conversation to be answered instead of a prompt; null when there is a prompt.</summary>
    internal JsonArray? Messages { get; private init; }

    /// <summary>Reads the rows of a file, one JSON object per line.</summary>
    /// <param name="file">The file; <c>-</c> for standard input.</param>
    /// <param name="field">The field with the text to be answered.</param>
    /// <exception cref="InputException">The file is missing, or a line is not such an object.</exception>
    internal static IReadOnlyList<PromptRow> Read(string file, string field)
    {
        if (file != "-" && !File.Exists(file))
            throw new InputException($"--input is {file}, but there is no such file. Name one with an object such as {Sample(field)} on "
                + "each line, or - for standard input.");
        var lines = file == "-" ? Console.In.ReadToEnd().Split('\n') : File.ReadAllLines(file);
        List<PromptRow> rows = [.. lines.Select((line, i) => (Line: line.Trim(), Number: i + 1))
            .Where(item => item.Line.Length > 0).Select(item => Of(item.Line, $"{file}, line {item.Number}", field))];
        return rows.Count > 0
            ? rows
            : throw new InputException($"--input {file} has no rows. Write an object such as {Sample(field)} on each line.");
    }

    private static string Sample(string field) => $"{{\"{field}\": \"...\"}}";

    /// <summary>A line's object; null when it is other JSON.</summary>
    /// <param name="line">The line.</param>
    /// <param name="place">Its file and number.</param>
    /// <param name="sample">A sample row.</param>
    /// <exception cref="InputException">It is not JSON.</exception>
    internal static JsonObject? Parse(string line, string place, string sample)
    {
        try
        {
            return JsonNode.Parse(line, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false }) as JsonObject;
        }
        catch (JsonException e)
        {
            throw new InputException($"{place}: this is not JSON: {e.Message} Write an object such as {sample}.", e);
        }
    }

    private static PromptRow Of(string line, string place, string field)
    {
        var fields = Parse(line, place, Sample(field));
        if (field == "prompt" && fields?["messages"] is { } messages)
            return fields["prompt"] is null
                ? new PromptRow("", Names(fields["adapter"], place), fields, place) { Messages = PromptMessages.Read(messages, place) }
                : throw new InputException($"{place}: the row has a prompt and messages. Write one of the two.");
        if (fields?[field] is not JsonValue value || !value.TryGetValue<string>(out var prompt) || prompt.Length == 0)
        {
            var sample = field == "prompt"
                ? "{\"prompt\": \"...\", \"adapter\": \"german\"}, or with messages instead of the prompt; adapter is needed when there "
                    + "are several to choose from"
                : Sample(field);
            throw new InputException($"{place}: there is no {field}. Write an object such as {sample}.");
        }
        if (field == "prompt" && fields["adapters"] is not null && fields["adapter"] is null)
            throw new InputException($"{place}: the row has 'adapters'; write \"adapter\": a name, or a list of names.");
        return new PromptRow(prompt, Names(fields["adapter"], place), fields, place);
    }

    private static string[] Names(JsonNode? node, string place) => node switch
    {
        null => [],
        JsonValue value when value.TryGetValue<string>(out var name) => [name],
        JsonArray list when list.All(item => item is JsonValue value && value.TryGetValue<string>(out _)) =>
            [.. list.Select(item => item!.GetValue<string>())],
        _ => throw new InputException($"{place}: adapter is {node.ToJsonString()}; write a name, a list of names, or null for the base."),
    };

    /// <summary>The row with its result.</summary>
    /// <param name="key">The result's key.</param>
    /// <param name="answer">The result.</param>
    internal JsonObject With(string key, JsonObject answer)
    {
        var whole = (JsonObject)Fields.DeepClone();
        whole[key] = answer;
        return whole;
    }
}
