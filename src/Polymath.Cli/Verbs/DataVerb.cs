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
    static readonly JsonSerializerOptions layout = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    internal static Command Make() => new("data", "Looks at data.") { Preview() };

    static Command Preview()
    {
        var source = new Argument<string>("source") { Description = "A file, a pattern of files (json, jsonl, csv, parquet, txt), or hf:datasets/ORG/NAME[@REVISION][/path] (modelscope:)." };
        var model = new Option<string?>("--model") { Description = "The model, by its folder or its address on a hub, whose tokenizer and chat template are used; without it tokens are characters." };
        var template = new Option<string?>("--template") { Description = $"A shipped chat template: {string.Join(", ", NamedTemplates.Names)}." };
        var shape = new Option<DataShape>("--shape") { Description = "The shape of the rows; recognised when left out." };
        var rows = new Option<int>("--rows") { Description = "The rows to show.", DefaultValueFactory = _ => 3 };
        var maxLength = new Option<int?>("--max-length") { Description = "The most tokens of a row; what lies beyond is cut." };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object." };
        var command = new Command("preview", "Shows the first rows with each token trained, untrained or cut, and counts all.") { source, model, template, shape, rows, maxLength, json };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() => Go(
            hubs, parsed, parsed.GetRequiredValue(source), parsed.GetValue(model), parsed.GetValue(template), parsed.GetValue(shape), parsed.GetValue(rows), parsed.GetValue(maxLength), parsed.GetValue(json))));
        return command;
    }

    static int Go(HubUse hubs, ParseResult parsed, string source, string? model, string? template, DataShape shape, int count, int? maxLength, bool json)
    {
        if (count < 0) throw new InputException($"--rows is {count}; it must be 0 or more.");
        if (maxLength < 1) throw new InputException($"--max-length is {maxLength}; it must be at least 1.");
        var recipe = new Recipe("preview", new CheckpointSpec("."), new Dictionary<string, DataSpec> { ["source"] = new FilesSpec([source], Shape: shape) }, []);
        var rows = hubs.Show(parsed, hub => new Corpora(recipe, Directory.GetCurrentDirectory(), new PackageCache(), hub: hub).Rows("source"));
        var (tokenizer, contract) = Reader(model is null ? null : hubs.Tokenizer(parsed, model), template, rows);
        var preview = DataPreview.Of(rows, contract, tokenizer, maxLength ?? int.MaxValue, count);
        if (json) Console.WriteLine(JsonSerializer.Serialize(preview, layout));
        else Show(preview);
        return Outcome.Done;
    }

    static (Tokenizer Tokenizer, TextContract Contract) Reader(string? model, string? template, IReadOnlyList<Row> rows)
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
        return (CharacterTokenizerTrainer.Train(DataPreview.Texts(rows, own), 1, [.. ChatTemplate.Specials, "<|im_start|>", "<|im_end|>"]), own);
    }

    static void Show(DataPreview preview)
    {
        foreach (var row in preview.Shown)
        {
            AnsiConsole.Write(new Rule(Markup.Escape($"{row.Key[..Math.Min(8, row.Key.Length)]} {row.Label}".Trim())).LeftJustified());
            AnsiConsole.MarkupLine(string.Concat(row.Tokens.Select(token => $"[{Style(token.State)}]{Markup.Escape(token.Text)}[/]")));
        }
        AnsiConsole.MarkupLine($"\n[{Style("trained")}]trained[/] {preview.Trained:N0}   [{Style("untrained")}]untrained[/] {preview.Untrained:N0}   [{Style("cut")}]cut[/] {preview.Cut:N0}   tokens of {preview.Rows:N0} rows ({Markup.Escape(string.Join(", ", preview.Shapes.Select(pair => $"{pair.Value:N0} {pair.Key}")))})");
        if (preview.Trained == 0) AnsiConsole.MarkupLine("[red]No token is trained.[/]");
    }

    static string Style(string state) => state switch { "trained" => "green", "cut" => "red strikethrough", _ => "grey" };
}
