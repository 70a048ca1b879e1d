using System.CommandLine;
using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath generate FOLDER --prompt TEXT</c>: one answer, as it comes or as JSON; with <c>--input FILE</c> one for each row, each by its own adapters.</summary>
static class GenerateVerb
{
    static readonly JsonSerializerOptions layout = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    internal static Command Make()
    {
        var choice = new ModelChoice(named: true);
        var prompt = new Option<string?>("--prompt") { Description = "What to answer or to go on from; read from standard input when left out." };
        var raw = new Option<bool>("--raw") { Description = "Goes on from the text as it stands, instead of answering it as a message." };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object; rows of --input are JSON anyway." };
        var input = new Option<string?>("--input") { Description = "A file with a JSON object on each line, {\"prompt\": \"...\", \"adapter\": \"NAME\"}: each is printed again with what was generated. - reads standard input." };
        var rows = new Option<int>("--rows") { Description = "How many rows of --input are generated side by side.", DefaultValueFactory = _ => 16 };
        var sampling = new Sampling();
        var command = new Command("generate", "Answers a prompt or a file of prompts, or goes on from texts.") { prompt, raw, json, input, rows };
        choice.AddTo(command);
        sampling.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            if (parsed.GetValue(input) is null && parsed.GetResult(rows) is { Implicit: false }) throw new InputException("--rows is how many rows of --input are generated side by side; there is one prompt. Leave it out, or give --input FILE.");
            if (parsed.GetValue(input) is not { } file) return Go(() => choice.Open(parsed), parsed.GetValue(prompt) ?? Ask(), parsed.GetValue(raw), parsed.GetValue(json), sampling.Read(parsed));
            if (parsed.GetValue(prompt) is not null) throw new InputException("--prompt is one prompt, --input a file of them. Give one of the two options.");
            if (parsed.GetValue(rows) < 1) throw new InputException($"--rows is {parsed.GetValue(rows)}; it must be 1 or more.");
            return All(() => choice.Open(parsed, choosing: true), PromptRow.Read(file), parsed.GetValue(raw), parsed.GetValue(rows), sampling.Read(parsed));
        }));
        return command;
    }

    static string Ask()
    {
        if (!Console.IsInputRedirected) Console.Error.WriteLine("polymath: write the prompt; Ctrl-D on a line of its own ends it.");
        return Console.In.ReadToEnd().TrimEnd('\n');
    }

    static int Go(Func<OpenedModel> open, string prompt, bool raw, bool json, SamplingSettings settings)
    {
        if (prompt.Length == 0) throw new InputException("The prompt is empty. Give one with --prompt TEXT.");
        using var opened = open();
        var model = opened.Text;
        TokenGenerator.Check(model.Model);
        var ids = Encode(model, prompt, raw);
        var started = Stopwatch.GetTimestamp();
        var text = new System.Text.StringBuilder();
        var answer = model.Stream(ids, settings, piece =>
        {
            text.Append(piece);
            if (!json) Console.Write(piece);
        });
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Console.WriteLine(json
            ? JsonSerializer.Serialize(new { prompt, text = text.ToString(), tokens = answer, promptTokens = ids.Length, finish = Finish(model, ids, answer, settings), seed = settings.Seed, seconds, tokensPerSecond = answer.Length / seconds }, layout)
            : "");
        if (!json) ContextEnd.Tell(model, ids.Length, answer.Length, settings);
        return Outcome.Done;
    }

    // One base for all rows, each with the adapters that it names; a line is printed as soon as it is known.
    static int All(Func<OpenedModel> open, IReadOnlyList<PromptRow> rows, bool raw, int rowsAtOnce, SamplingSettings settings)
    {
        using var opened = open();
        var model = opened.Text;
        TokenGenerator.Check(model.Model);
        foreach (var row in opened.Named is null ? [] : rows)
            if (row.Adapters.FirstOrDefault(name => !opened.Named!.Names.Contains(name)) is { } unknown) throw new InputException($"{row.Place}: there is no adapter '{unknown}'; {Nearest.Hint(unknown, opened.Named!.Names, "adapters")}");
        if (opened.Named is { } named) named.Choose([.. rows.Select(row => row.Adapters)]);
        else if (rows.FirstOrDefault(row => row.Adapters.Count > 0) is { } asking)
            throw new InputException($"{asking.Place}: the row asks for the adapter '{asking.Adapters[0]}', and there are none to choose from. Give them: --adapters {asking.Adapters[0]}=FOLDER.");
        List<int[]> prompts = [.. rows.Select(row => Encode(model, row.Prompt, raw))];
        // Told with its line, and before anything is generated, since the others may take long.
        var generator = new TokenGenerator(model.Model, model.Ends);
        for (var i = 0; i < prompts.Count; i++)
            if (generator.Unfit(prompts[i]) is { } fault) throw new InputException($"{rows[i].Place}: {fault}");
        foreach (var (answer, i) in model.Each(prompts, settings, rowsAtOnce).Select((answer, i) => (answer, i)))
            Console.WriteLine(rows[i].With("generated", new JsonObject
            {
                ["text"] = answer.Text,
                ["tokens"] = new JsonArray([.. answer.Tokens.Select(token => JsonValue.Create(token))]),
                ["promptTokens"] = prompts[i].Length,
                ["finish"] = Finish(model, prompts[i], answer.Tokens, settings),
            }).ToJsonString(layout));
        return Outcome.Done;
    }

    static string Finish(TextModel model, int[] prompt, int[] answer, SamplingSettings settings) => answer.Length < Math.Min(settings.MaxNewTokens, model.Model.RoomFor(prompt.Length)) ? "end" : "length";

    // A model that was taught no layout of conversations goes on from the text.
    static int[] Encode(TextModel model, string prompt, bool raw) => raw || !model.Contract.Recorded ? Opening(model, prompt) : model.Contract.Encode([new Turn(prompt)], model.Tokenizer);

    static int[] Opening(TextModel model, string text)
    {
        var ids = model.Tokenizer.EncodePlain(text);
        return model.Tokenizer.IdOf(model.Contract.Template.Begin) is { } begin && model.Contract.Template.Begin.Length > 0 ? [begin, .. ids] : ids;
    }
}
