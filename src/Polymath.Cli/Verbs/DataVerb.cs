using System.CommandLine;
using System.Text.Json;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath data preview SOURCE</c>: shows how training reads it, token by token.</summary>
internal static class DataVerb
{
    private const int CutShown = 40;

    internal static Command Make() => new("data", "Looks at data.") { Preview() };

    private static Command Preview()
    {
        var source = new Argument<string>("source")
        {
            Description = "A file, a pattern of files (json, jsonl, csv, parquet, arrow, txt; also compressed: gz, zst, xz, bz2), a folder "
                + "saved by datasets, dataset_info.json#NAME, or hf:datasets/ORG/NAME[@REVISION][/path] (modelscope:).",
        };
        var model = new Option<string?>("--model")
        {
            Description = "The model, by its folder or its address on a hub, whose tokenizer and chat template are used; without it tokens "
                + "are characters.",
        };
        var rows = new Option<int>("--rows") { Description = "The rows to show.", DefaultValueFactory = _ => 3 };
        var maxLength = new Option<int?>("--max-length") { Description = "The most tokens of a row; the rest is cut." };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object." };
        var command = new Command("preview", "Shows the first rows with each token marked as trained, untrained or cut, and counts all.")
        {
            source, model, rows, maxLength, json,
        };
        var (reading, template, hubs) = (new ReadingChoice(), new TemplateChoice(), new HubUse());
        reading.AddTo(command);
        template.AddTo(command);
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var (count, most) = (parsed.GetValue(rows), parsed.GetValue(maxLength));
            if (count < 0) throw new InputException($"--rows is {count}; it must be 0 or more.");
            if (most < 1) throw new InputException($"--max-length is {most}; it must be at least 1.");
            var name = parsed.GetRequiredValue(source);
            var recipe = new Recipe(
                "preview", new PretrainedSpec("."), new Dictionary<string, DataSpec> { [name] = reading.Read(parsed, name) }, []);
            var (read, report) = hubs.Show(parsed, hub =>
            {
                var corpora = new Corpora(recipe, Directory.GetCurrentDirectory(), new PackageCache(), hub: hub);
                return (corpora.Rows(name), corpora.Report(name));
            });
            var folder = parsed.GetValue(model) is { } place ? hubs.Tokenizer(parsed, place) : null;
            var (tokenizer, contract) = Reader(folder, known => template.Apply(parsed, known), template.Name(parsed), read);
            var preview = DataPreview.Of(
                read,
                contract,
                tokenizer,
                most ?? int.MaxValue,
                count,
                report);
            if (parsed.GetValue(json)) Console.WriteLine(JsonSerializer.Serialize(preview, JsonLayout.RecordLine));
            else Show(preview);
            return Outcome.Done;
        }));
        return command;
    }

    private static (Tokenizer Tokenizer, TextContract Contract) Reader(
        string? model, Func<TextContract, TextContract> apply, string? template, IReadOnlyList<Row> rows)
    {
        if (model is not null)
        {
            var folder = TextModel.Locate(model);
            var tokenizer = Tokenizer.Load(folder).Uncut();
            return (tokenizer, apply(TextContract.Load(folder, tokenizer)));
        }
        var own = new TextContract(ChatTemplate.Own, []);
        own = apply(template is null ? own.With("chatml") : own);
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
        foreach (var note in preview.Notes)
            Line(Colours ? $"[yellow]note:[/] {Markup.Escape(note)}" : $"note: {note}");
        if (preview.Trained == 0)
        {
            var hint = preview.Cut > 0 ? " Every answer is cut: raise --max-length." : "";
            var fault = $"No token is trained.{hint}";
            Line(Colours ? $"[red]{fault}[/]" : fault);
        }
    }

    private static string Title(PreviewRow row) => $"── {Path.GetFileName(row.Key)} {row.Label}".TrimEnd() + " ──";

    // Neighbouring tokens of one state are printed together. Only the start of cut text is printed, because it may be long and is not
    // learned.
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

    // Without colours, signs are used instead.
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
