using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tuning.Prompts;

namespace Polymath.Cli.Verbs;

/// <summary>
/// <c>polymath classify FOLDER --text TEXT</c>: labels a text with a head over labels or with the prompt of a stage, or with
/// <c>--input FILE</c> each row.
/// </summary>
internal static class ClassifyVerb
{
    private const string Csv = "csv", Lines = "jsonl";

    internal static Command Make()
    {
        var choice = new ModelChoice();
        var text = new Option<string?>("--text")
        {
            Description = "The text to label, in the form of the stage's text; read from standard input when left out. With --input, the "
                + "column or field with the text.",
        };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object; rows of --input are JSON anyway." };
        var label = new Option<string?>("--label")
        {
            Description = "The column or field of --input with the label that a row should get; the stage's own or 'label' when left out. "
                + "Where there is one, accuracy, counts and confusion are printed to the error output.",
        };
        var format = new Option<string>("--format")
        {
            Description = "How rows of --input are printed: jsonl, or csv with the columns predicted and probability.",
            DefaultValueFactory = _ => Lines,
        };
        var why = new Option<bool>("--why")
        {
            Description = "Says what each prompt of a stage answers, the one first that speaks most for the label, and by which words.",
        };
        var together = Together();
        var input = new RowInput(
            "text", "{\"text\": \"...\"}, or a CSV or TSV file with a header (.csv, .tsv)", "its label");
        var command =
            new Command("classify", "Labels a text or a file of texts with a head over labels or a stage's prompt.")
            {
                text, json, label, format, why, together,
            };
        input.AddTo(command);
        choice.AddTo(command);
        Labeller Opened(ParseResult parsed) => Labels(choice, parsed, parsed.GetValue(together), parsed.GetValue(why));
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var shown = parsed.GetRequiredValue(format);
            if (shown is not (Csv or Lines)) throw new InputException($"--format is '{shown}'; known are {Lines} and {Csv}.");
            if (input.Place(parsed) is var (file, atOnce))
                return All(
                    () => Opened(parsed),
                    LabelRows.Read(file),
                    (parsed.GetValue(text), parsed.GetValue(label)),
                    atOnce,
                    shown,
                    parsed.GetValue(why));
            foreach (var option in new Option[] { label, format })
                if (parsed.GetResult(option) is { Implicit: false })
                    throw new InputException($"{option.Name} is for the rows of --input, but there is one text. Leave it out, or give "
                        + "--input FILE.");
            return Go(
                () => Opened(parsed),
                input.Text(parsed, text),
                parsed.GetValue(json),
                parsed.GetValue(why));
        }));
        return command;
    }

    private static Option<string?> Together() => new("--together")
    {
        Description = "How the answers of several stages (--stage A,B,RUN/C) become one: mean, accuracy, learned or majority; the mean "
            + "when left out. Weights are found on the run's validation rows.",
    };

    private static Labeller Labels(
        ModelChoice choice,
        ParseResult parsed,
        string? together,
        bool why)
    {
        var stages = choice.Stages(parsed);
        if (stages.Count > 1)
            return new TogetherLabeller(
                choice.Folder(parsed),
                stages,
                together is null ? PromptsTogether.Mean : Words.Read<PromptsTogether>("--together", together),
                place => choice.OpenOne(parsed, place),
                pins => choice.Hubs.Open(parsed, new Terminal(quiet: true), pins));
        if (together is not null)
            throw new InputException("--together says how several stages become one answer, and one is asked. Name several: --stage A,B.");
        return new OneLabeller(choice.Open(parsed), why);
    }

    private static int Go(
        Func<Labeller> open,
        string text,
        bool json,
        bool why)
    {
        using var labeller = open();
        if (labeller.Spans is { } spans) return spans.One(text, json);
        var said = labeller.Of(text, why);
        var (answer, reasons) = said;
        if (json)
            Console.WriteLine(new JsonObject { ["text"] = text, ["classified"] = Answer(labeller, said) }
                .ToJsonString(JsonLayout.Line));
        else
            foreach (var (name, score) in Ranked(labeller.Names, answer)) Console.WriteLine($"{name,-20} {score:F4}");
        if (!json)
            foreach (var (name, own) in said.Answers) Console.WriteLine($"  {name}: {own}");
        if (!json) PromptReasons.Tell(labeller.Names, answer, reasons);
        if (answer.Cut && !json)
            Console.Error.WriteLine("polymath: the text is longer than "
                + (labeller.Context is { } most ? $"the model's context of {most:N0} tokens" : "the context of a stage's model")
                + "; its end was not read.");
        return Outcome.Done;
    }

    private static int All(
        Func<Labeller> open,
        LabelRows rows,
        (string? Text, string? Label) columns,
        int rowsAtOnce,
        string format,
        bool why)
    {
        if (why && format == Csv)
            throw new InputException("--format csv has no columns for reasons. Leave out --why, or write --format jsonl.");
        if (rows.Rows.FirstOrDefault(row => row.Fields["adapter"] is not null) is { } asking)
            throw new InputException($"{asking.Place}: the row asks for its own adapter, but all rows are labelled in the same way. Leave "
                + "out adapter, or give one for all with --adapter FOLDER.");
        using var labeller = open();
        if (labeller.Spans is { } spans)
            return format == Csv
                ? throw new InputException("--format csv has one label for a row, and the stage finds entities. Write --format jsonl.")
                : spans.All(rows, columns);
        var label = rows.LabelField(columns.Label, labeller.Label);
        var answers = labeller.Of(
            rows,
            (columns.Text, label),
            rowsAtOnce,
            why);
        if (format == Csv && labeller.Kind != LabelTask.Classify)
            throw new InputException("--format csv has one label for a row, but the model's head gives several values. Leave it out.");
        List<string> header = [.. rows.Rows.SelectMany(row => row.Fields.Select(pair => pair.Key)).Distinct()];
        if (format == Csv) Console.WriteLine(TableLines.Of([.. header, "predicted", "probability"]));
        var counts = new LabelCounts();
        foreach (var (said, row) in answers.Zip(rows.Rows))
        {
            var (best, score) = Ranked(labeller.Names, said.Answer).First();
            if (labeller.Kind == LabelTask.Classify && label is not null && row.Text(label) is { } wanted) counts.Add(wanted, best);
            if (format == Csv)
                Console.WriteLine(TableLines.Of([
                    .. header.Select(name => TableLines.Text(row.Fields[name])),
                    best,
                    Math.Round(score, 6).ToString(CultureInfo.InvariantCulture),
                ]));
            else
            {
                var whole = (JsonObject)row.Fields.DeepClone();
                whole["classified"] = Answer(labeller, said);
                Console.WriteLine(whole.ToJsonString(JsonLayout.Line));
            }
        }
        if (label is not null) counts.Tell(label);
        return Outcome.Done;
    }

    private static IEnumerable<(string Name, double Score)> Ranked(IReadOnlyList<string> names, LabelledAnswer answer) =>
        names.Zip(answer.Scores).OrderByDescending(pair => pair.Second);

    // For one label of several, the best one is named; for several at once and for values, all are printed.
    private static JsonObject Answer(Labeller labeller, PromptedAnswer said)
    {
        var (answer, reasons) = said;
        var (names, kind) = (labeller.Names, labeller.Kind);
        var result = new JsonObject();
        if (kind == LabelTask.Classify) result["label"] = Ranked(names, answer).First().Name;
        result[kind == LabelTask.Regress ? "values" : "probabilities"] = new JsonObject(
            names.Zip(answer.Scores).Select(pair => KeyValuePair.Create(pair.First, (JsonNode?)Math.Round(pair.Second, 6))));
        if (said.Answers.Count > 0)
            result["answers"] = new JsonObject(said.Answers.Select(one => KeyValuePair.Create(one.Name, (JsonNode?)one.Text)));
        if (answer.Cut) result["cut"] = true;
        if (reasons.Count > 0) result["why"] = PromptReasons.Json(names, reasons, labeller.Asked);
        return result;
    }
}
