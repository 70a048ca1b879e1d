using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Spans;
using Polymath.Tuning.Prompts;

namespace Polymath.Cli;

/// <summary>Answers of a task that finds entities: <c>polymath classify</c> for a stage that asks for spans.</summary>
/// <param name="opened">The model.</param>
/// <param name="task">The task.</param>
internal sealed class SpanAnswers(OpenedModel opened, PromptTask task)
{
    private readonly TaskSpans spans = task.Spans!;

    /// <summary>Finds the entities of one text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="json">Whether one JSON object is printed.</param>
    internal int One(string text, bool json)
    {
        if (task.Needs() is { Count: > 1 } fields)
            throw new InputException($"The stage's prompt '{task.Prompts[0].Template}' asks for {string.Join(", ", fields)}, but --text "
                + "is one text. Give a file with these columns: --input FILE.csv.");
        using var asked = new PromptedSpans(opened.Text, task, opened.Place);
        var (words, found) = asked.Read("The text", new Dictionary<string, string> { [spans.Words] = text });
        if (json)
            Console.WriteLine(new JsonObject { ["text"] = text, ["classified"] = Answer(words, found) }.ToJsonString(JsonLayout.Line));
        else if (found.Count == 0)
            Console.WriteLine("no entity");
        else
            foreach (var one in found) Console.WriteLine($"{one.Span.Kind,-20} {one.Probability:F4}  {Text(words, one.Span)}");
        return Outcome.Done;
    }

    /// <summary>Finds the entities of rows, and counts those that are right where rows have tags.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="columns">The columns of the words and of the tags, as the command line names them.</param>
    internal int All(LabelRows rows, (string? Text, string? Label) columns)
    {
        var label = rows.LabelField(columns.Label, task.Label);
        using var asked = new PromptedSpans(opened.Text, task, opened.Place);
        var counts = new EntityCounts();
        var counted = 0;
        foreach (var row in rows.Rows)
        {
            var (words, found) = asked.Read(row.Place, Fields(row, columns.Text));
            var whole = (JsonObject)row.Fields.DeepClone();
            whole["classified"] = Answer(words, found);
            Console.WriteLine(whole.ToJsonString(JsonLayout.Line));
            if (label is null || row.Words(label) is not { } tags) continue;
            var there = TaggedSpan.Words(tags, " ").Select(tag => TagNames.Of(row.Place, tag, spans.Names)).ToList();
            if (there.Count != words.Count)
                throw new InputException($"{row.Place}: there are {words.Count} words and {there.Count} tags in '{label}'. Write a tag for "
                    + "each word, or leave out --label.");
            counts = counts.And(EntityCounts.Of([.. found.Select(one => one.Span)], TaggedSpan.Of(there)));
            counted++;
        }
        if (counted > 0)
            Console.Error.WriteLine($"polymath: {counted:N0} of {rows.Rows.Count:N0} rows have tags in '{label}': {counts.There:N0} "
                + $"entities are there, {counts.Found:N0} were found, {counts.Right:N0} are right: precision {counts.Precision:F4}, "
                + $"recall {counts.Recall:F4}, F1 {counts.F1:F4}");
        return Outcome.Done;
    }

    private Dictionary<string, string> Fields(LabelRow row, string? asked)
    {
        string Column(string name) => name == spans.Words ? asked ?? name : name;
        return task.Needs().ToDictionary(
            name => name,
            name => row.Words(Column(name)) ?? throw new InputException($"{row.Place}: there is no {Column(name)}, which the stage's "
                + $"prompt asks for; it needs {string.Join(", ", task.Needs())}."));
    }

    private string Text(IReadOnlyList<string> words, TaggedSpan span) =>
        string.Join(spans.Join, words.Skip(span.Start).Take(span.Length));

    private JsonObject Answer(IReadOnlyList<string> words, IReadOnlyList<FoundSpan> found) => new()
    {
        ["entities"] = new JsonArray([.. found.Select(one => (JsonNode)new JsonObject
        {
            ["text"] = Text(words, one.Span),
            ["label"] = one.Span.Kind,
            ["start"] = one.Span.Start,
            ["end"] = one.Span.End,
            ["probability"] = Math.Round(one.Probability, 6),
        })]),
        ["tags"] = new JsonArray([.. TaggedSpan.Tags(words.Count, found.Select(one => one.Span)).Select(tag => (JsonNode)tag)]),
    };
}
