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
        var input = new RowInput(
            "text", "{\"text\": \"...\"}, or a CSV or TSV file with a header (.csv, .tsv)", "its label");
        var command =
            new Command("classify", "Labels a text or a file of texts with a head over labels or a stage's prompt.")
            {
                text, json, label, format, why,
            };
        input.AddTo(command);
        choice.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var shown = parsed.GetRequiredValue(format);
            if (shown is not (Csv or Lines)) throw new InputException($"--format is '{shown}'; known are {Lines} and {Csv}.");
            if (input.Place(parsed) is var (file, atOnce))
                return All(
                    () => choice.Open(parsed),
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
                () => choice.Open(parsed),
                input.Text(parsed, text),
                parsed.GetValue(json),
                parsed.GetValue(why));
        }));
        return command;
    }

    // The prompt of a stage that learned its labels with words; null for a head over labels.
    private static PromptTask? Task(OpenedModel opened, bool why)
    {
        if (opened.Text.Model.Labels is not null && why)
            throw new InputException($"--why says what prompts answer, and {opened.Place} has a head over labels. Leave it out.");
        if (opened.Text.Model.Labels is not null) return null;
        return PromptTask.Read(opened.Place) ?? throw new InputException($"{opened.Place}: the model has no head over labels, and no "
            + $"{PromptTask.FileName} with the prompt of a stage. Name the stage that learned the labels with --stage NAME, train one of "
            + "the kind task, or attach a fresh head: polymath model convert FOLDER --head classify --labels A,B.");
    }

    private static int Go(
        Func<OpenedModel> open,
        string text,
        bool json,
        bool why)
    {
        using var opened = open();
        var task = Task(opened, why);
        if (task is { Spans: not null }) return Spans(opened, task, why, Lines).One(text, json);
        if (task is { Chain: not null } && why)
            throw new InputException("--why says what prompts answer, and a chain says its answers in any case. Leave it out.");
        if (task?.Needs() is { Count: not 1 } fields)
            throw new InputException($"The stage's prompt '{task.Prompts[0].Template}' asks for {string.Join(", ", fields)}, but --text "
                + "is one text. Give a file with these columns: --input FILE.csv.");
        using var asked = task is null ? null : new PromptedLabels(opened.Text, task, opened.Place);
        var answers = asked is null
            ? LabelReader.Read(opened.Text, [text], 1).Select(WithoutReasons)
            : asked.Read([("The text", new Dictionary<string, string> { [task!.Needs()[0]] = text })], 1, why);
        var said = answers.Single();
        var (answer, reasons) = said;
        var (names, kind) = Meaning(opened, task);
        if (json)
            Console.WriteLine(new JsonObject { ["text"] = text, ["classified"] = Answer(names, kind, said) }
                .ToJsonString(JsonLayout.Line));
        else
            foreach (var (name, score) in Ranked(names, answer)) Console.WriteLine($"{name,-20} {score:F4}");
        if (!json)
            foreach (var (name, own) in said.Answers) Console.WriteLine($"  {name}: {own}");
        if (!json) PromptReasons.Tell(names, answer, reasons);
        if (answer.Cut && !json)
            Console.Error.WriteLine($"polymath: the text is longer than the model's context of {opened.Text.Model.Sizes.ContextLength:N0} "
                + "tokens; its end was not read.");
        return Outcome.Done;
    }

    private static int All(
        Func<OpenedModel> open,
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
        using var opened = open();
        var task = Task(opened, why);
        if (task is { Spans: not null }) return Spans(opened, task, why, format).All(rows, columns);
        var label = rows.LabelField(columns.Label, task?.Label);
        using var asked = task is null ? null : new PromptedLabels(opened.Text, task, opened.Place);
        var answers = asked is null
            ? LabelReader.Read(opened.Text, rows.Texts(rows.TextField(columns.Text, label)), rowsAtOnce).Select(WithoutReasons)
            : asked.Read(
                [.. rows.Rows.Zip(rows.Fields(task!.Needs(), columns.Text, label), (row, fields) => (row.Place, fields))],
                rowsAtOnce,
                why);
        var (names, kind) = Meaning(opened, task);
        if (format == Csv && kind != LabelTask.Classify)
            throw new InputException("--format csv has one label for a row, but the model's head gives several values. Leave it out.");
        List<string> header = [.. rows.Rows.SelectMany(row => row.Fields.Select(pair => pair.Key)).Distinct()];
        if (format == Csv) Console.WriteLine(TableLines.Of([.. header, "predicted", "probability"]));
        var counts = new LabelCounts();
        foreach (var (said, row) in answers.Zip(rows.Rows))
        {
            var (best, score) = Ranked(names, said.Answer).First();
            if (kind == LabelTask.Classify && label is not null && row.Text(label) is { } wanted) counts.Add(wanted, best);
            if (format == Csv)
                Console.WriteLine(TableLines.Of([
                    .. header.Select(name => TableLines.Text(row.Fields[name])),
                    best,
                    Math.Round(score, 6).ToString(CultureInfo.InvariantCulture),
                ]));
            else
            {
                var whole = (JsonObject)row.Fields.DeepClone();
                whole["classified"] = Answer(names, kind, said);
                Console.WriteLine(whole.ToJsonString(JsonLayout.Line));
            }
        }
        if (label is not null) counts.Tell(label);
        return Outcome.Done;
    }

    private static SpanAnswers Spans(
        OpenedModel opened,
        PromptTask task,
        bool why,
        string format)
    {
        if (why) throw new InputException("--why says what prompts answer about a row, and the stage asks about spans. Leave it out.");
        return format == Csv
            ? throw new InputException("--format csv has one label for a row, and the stage finds entities. Write --format jsonl.")
            : new SpanAnswers(opened, task);
    }

    private static PromptedAnswer WithoutReasons(LabelledAnswer answer) => new(answer, []);

    private static (IReadOnlyList<string> Names, LabelTask Kind) Meaning(OpenedModel opened, PromptTask? task) =>
        task is null ? (opened.Text.Model.Labels!.Names, opened.Text.Model.Labels.Task) : (task.Labels, LabelTask.Classify);

    private static IEnumerable<(string Name, double Score)> Ranked(IReadOnlyList<string> names, LabelledAnswer answer) =>
        names.Zip(answer.Scores).OrderByDescending(pair => pair.Second);

    // For one label of several, the best one is named; for several at once and for values, all are printed.
    private static JsonObject Answer(IReadOnlyList<string> names, LabelTask kind, PromptedAnswer said)
    {
        var (answer, reasons) = said;
        var result = new JsonObject();
        if (kind == LabelTask.Classify) result["label"] = Ranked(names, answer).First().Name;
        result[kind == LabelTask.Regress ? "values" : "probabilities"] = new JsonObject(
            names.Zip(answer.Scores).Select(pair => KeyValuePair.Create(pair.First, (JsonNode?)Math.Round(pair.Second, 6))));
        if (said.Answers.Count > 0)
            result["answers"] = new JsonObject(said.Answers.Select(one => KeyValuePair.Create(one.Name, (JsonNode?)one.Text)));
        if (answer.Cut) result["cut"] = true;
        if (reasons.Count > 0) result["why"] = PromptReasons.Json(names, reasons);
        return result;
    }
}
