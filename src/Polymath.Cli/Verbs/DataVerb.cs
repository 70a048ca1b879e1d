using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath data preview SOURCE</c>: what training would read of it, token by token.</summary>
static class DataVerb
{
    private const int CutShown = 40;

    private static readonly JsonSerializerOptions layout =
        new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    internal static Command Make() => new("data", "Looks at data.") { Preview() };

    private static Command Preview()
    {
        var source = new Argument<string>("source") { Description =
            "A file, a pattern of files (json, jsonl, csv, parquet, txt), or hf:datasets/ORG/NAME[@REVISION][/path] (modelscope:)." };
        var model = new Option<string?>("--model") { Description = "The model, by its folder or its address on a hub, whose tokenizer and "
            + "chat template are used; without it tokens are characters." };
        var template =
            new Option<string?>("--template") { Description = $"A shipped chat template: {string.Join(", ", NamedTemplates.Names)}." };
        var shape = new Option<DataShape>("--shape") { Description = "The shape of the rows; recognised when left out." };
        var format = new Option<FileFormat?>("--format")
        {
            Description = "The format of the files, where their names do not tell it: txt, jsonl, json, csv or parquet.",
        };
        var rows = new Option<int>("--rows") { Description = "The rows to show.", DefaultValueFactory = _ => 3 };
        var maxLength = new Option<int?>("--max-length") { Description = "The most tokens of a row; what lies beyond is cut." };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object." };
        var command = new Command("preview", "Shows the first rows with each token trained, untrained or cut, and counts all.")
        {
            source, model, template, shape, format, rows, maxLength, json,
        };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() => Go(
            hubs,
            parsed,
            parsed.GetRequiredValue(source),
            parsed.GetValue(model),
            parsed.GetValue(template),
            new FilesSpec([parsed.GetRequiredValue(source)], Format: parsed.GetValue(format), Shape: parsed.GetValue(shape)),
            parsed.GetValue(rows),
            parsed.GetValue(maxLength),
            parsed.GetValue(json))));
        return command;
    }

    private static int Go(
        HubUse hubs,
        ParseResult parsed,
        string source,
        string? model,
        string? template,
        FilesSpec files,
        int count,
        int? maxLength,
        bool json)
    {
        if (count < 0) throw new InputException($"--rows is {count}; it must be 0 or more.");
        if (maxLength < 1) throw new InputException($"--max-length is {maxLength}; it must be at least 1.");
        var recipe = new Recipe("preview", new CheckpointSpec("."), new Dictionary<string, DataSpec> { [source] = files }, []);
        var rows = hubs.Show(
            parsed, hub => new Corpora(recipe, Directory.GetCurrentDirectory(), new PackageCache(), hub: hub).Rows(source));
        var (tokenizer, contract) = Reader(model is null ? null : hubs.Tokenizer(parsed, model), template, rows);
        var preview = DataPreview.Of(
            rows,
            contract,
            tokenizer,
            maxLength ?? int.MaxValue,
            count);
        if (json) Console.WriteLine(JsonSerializer.Serialize(preview, layout));
        else Show(preview);
        return Outcome.Done;
    }

    private static (Tokenizer Tokenizer, TextContract Contract) Reader(string? model, string? template, IReadOnlyList<Row> rows)
    {
        if (model is not null)
        {
            var folder = TextModel.Locate(model);
            var tokenizer = Tokenizer.Load(folder);
            var contract = TextContract.Load(folder, tokenizer);
            return (tokenizer, template is null ? contract : contract.With(template));
        }
        var own = new TextContract(ChatTemplate.Own, []);
        own = own.With(template ?? "chatml");
        return (
            CharacterTokenizerTrainer.Train(DataPreview.Texts(rows, own), 1, [.. ChatTemplate.Specials, "<|im_start|>", "<|im_end|>"]),
            own);
    }

    private static void Show(DataPreview preview)
    {
        foreach (var row in preview.Shown)
        {
            Line(Colours ? $"[bold]{Markup.Escape(Title(row))}[/]" : Title(row));
            Line(string.Concat(Runs(row.Tokens).Select(run => Marked(run.State, run.Text))));
        }
        Line($"\n{Marked("trained", "trained")} {preview.Trained:N0}   {Marked("untrained", "untrained")} {preview.Untrained:N0}   "
            + $"{Marked("cut", "cut")} {preview.Cut:N0}   tokens of {preview.Rows:N0} rows "
            + $"({string.Join(", ", preview.Shapes.Select(pair => $"{pair.Value:N0} {pair.Key}"))})");
        if (preview.Trained == 0)
            Line((Colours, preview.Cut > 0) switch
            {
                (var red, var cut) => $"{(red ? "[red]" : "")}No token is "
                    + $"trained.{(cut ? " Every answer is cut: raise --max-length." : "")}{(red ? "[/]" : "")}",
            });
    }

    private static string Title(PreviewRow row) => $"── {row.Key[..Math.Min(8, row.Key.Length)]} {row.Label}".TrimEnd() + " ──";

    // Neighbours of one state together; of what is cut only the beginning, since it may be long and is not learned.
    private static IEnumerable<(string State, string Text)> Runs(IReadOnlyList<PreviewToken> tokens)
    {
        for (int start = 0, end; start < tokens.Count; start = end)
        {
            for (end = start + 1; end < tokens.Count && tokens[end].State == tokens[start].State;) end++;
            var shown = tokens[start].State == "cut" ? Math.Min(end - start, CutShown) : end - start;
            var left = end - start - shown;
            yield return (
                tokens[start].State,
                string.Concat(tokens.Skip(start).Take(shown).Select(token => token.Text))
                    + (left > 0 ? $"... and {left:N0} tokens more" : ""));
        }
    }

    private static bool Colours => !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.ColorSystem != ColorSystem.NoColors;

    // Where there are no colours, signs stand for them.
    private static string Marked(string state, string text) => (Colours, state) switch
    {
        (true, "trained") => $"[green]{Markup.Escape(text)}[/]",
        (true, "cut") => $"[red strikethrough]{Markup.Escape(text)}[/]",
        (true, _) => $"[grey]{Markup.Escape(text)}[/]",
        (false, "trained") => $"«{text}»",
        (false, "cut") => $"~~{text}~~",
        _ => text,
    };

    private static void Line(string text)
    {
        if (Colours) AnsiConsole.MarkupLine(text);
        else Console.WriteLine(text);
    }
}
