using System.CommandLine;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;

namespace Polymath.Cli.Verbs;

/// <summary>
/// <c>polymath classify FOLDER --text TEXT</c>: labels a text with a head over labels, or with <c>--input FILE</c> each row.
/// </summary>
static class ClassifyVerb
{
    internal static Command Make()
    {
        var choice = new ModelChoice();
        var text = new Option<string?>("--text")
        {
            Description = "The text to label, in the form of the stage's text; read from standard input when left out.",
        };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object." };
        var input = new RowInput("text", "{\"text\": \"...\"}", "its label");
        var command = new Command("classify", "Labels a text or a file of texts with a head over labels.") { text, json };
        input.AddTo(command);
        choice.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() => input.Read(parsed, text) is var (rows, atOnce)
            ? All(() => choice.Open(parsed), rows, atOnce)
            : Go(() => choice.Open(parsed), input.Text(parsed, text), parsed.GetValue(json))));
        return command;
    }

    private static int Go(Func<OpenedModel> open, string text, bool json)
    {
        using var opened = open();
        var answer = LabelReader.Read(opened.Text, [text], 1).Single();
        var head = opened.Text.Model.Labels!;
        if (json)
            Console.WriteLine(new JsonObject { ["text"] = text, ["classified"] = Answer(head, answer) }.ToJsonString(JsonLayout.Line));
        else
            foreach (var (name, score) in Ranked(head, answer)) Console.WriteLine($"{name,-20} {score:F4}");
        if (answer.Cut && !json)
            Console.Error.WriteLine($"polymath: the text is longer than the model's context of {opened.Text.Model.Sizes.ContextLength:N0} "
                + "tokens; its end was not read.");
        return Outcome.Done;
    }

    private static int All(Func<OpenedModel> open, IReadOnlyList<PromptRow> rows, int rowsAtOnce)
    {
        if (rows.FirstOrDefault(row => row.Adapters.Count > 0) is { } asking)
            throw new InputException($"{asking.Place}: the row asks for its own adapter, but a head over labels reads all rows "
                + "in the same way. Leave out adapter, or give one for all with --adapter FOLDER.");
        using var opened = open();
        foreach (var (answer, i) in LabelReader.Read(opened.Text, [.. rows.Select(row => row.Prompt)], rowsAtOnce)
            .Select((answer, i) => (answer, i)))
            Console.WriteLine(rows[i].With("classified", Answer(opened.Text.Model.Labels!, answer)).ToJsonString(JsonLayout.Line));
        return Outcome.Done;
    }

    private static IEnumerable<(string Name, double Score)> Ranked(LabelHead head, LabelledAnswer answer) =>
        head.Names.Zip(answer.Scores).OrderByDescending(pair => pair.Second);

    // For one label of several, the best one is named; for several at once and for values, all are printed.
    private static JsonObject Answer(LabelHead head, LabelledAnswer answer)
    {
        var result = new JsonObject();
        if (head.Task == LabelTask.Classify) result["label"] = Ranked(head, answer).First().Name;
        result[head.Task == LabelTask.Regress ? "values" : "probabilities"] = new JsonObject(
            head.Names.Zip(answer.Scores).Select(pair => KeyValuePair.Create(pair.First, (JsonNode?)Math.Round(pair.Second, 6))));
        if (answer.Cut) result["cut"] = true;
        return result;
    }
}
