using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Cli.Verbs;

/// <summary>
/// <c>polymath generate FOLDER --prompt TEXT</c>: one answer, streamed or as JSON; with <c>--input FILE</c> one for each row, each with its
/// own adapters.
/// </summary>
static class GenerateVerb
{
    internal static Command Make()
    {
        var choice = new ModelChoice(named: true);
        var prompt =
            new Option<string?>("--prompt") { Description = "The text to answer or to continue; read from standard input when left out." };
        var raw = new Option<bool>("--raw") { Description = "Continues the text itself, instead of answering it as a message." };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object; rows of --input are JSON anyway." };
        var input = new RowInput("prompt", "{\"prompt\": \"...\", \"adapter\": \"NAME\"}", "what was generated");
        var (sampling, template) = (new Sampling(), new TemplateChoice());
        var command = new Command("generate", "Answers a prompt or a file of prompts, or continues texts.") { prompt, raw, json };
        input.AddTo(command);
        choice.AddTo(command);
        template.AddTo(command);
        sampling.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() => input.Read(parsed, prompt) is var (rows, atOnce)
            ? All(
                () => choice.Open(parsed, choosing: true, template),
                rows,
                parsed.GetValue(raw),
                atOnce,
                sampling.Read(parsed))
            : Go(
                () => choice.Open(parsed, template: template),
                input.Text(parsed, prompt),
                parsed.GetValue(raw),
                parsed.GetValue(json),
                sampling.Read(parsed))));
        return command;
    }

    private static int Go(
        Func<OpenedModel> open,
        string prompt,
        bool raw,
        bool json,
        SamplingSettings settings)
    {
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
            ? JsonSerializer.Serialize(
                new
                {
                    prompt, text = text.ToString(), tokens = answer.Tokens, promptTokens = ids.Length, finish = answer.Finish,
                    endToken = answer.End, seed = settings.Seed, seconds, tokensPerSecond = answer.Tokens.Length / seconds,
                },
                JsonLayout.RecordLine)
            : "");
        if (!json) ContextEnd.Tell(model, ids.Length, answer, settings);
        return Outcome.Done;
    }

    // One base for all rows, each with the adapters that it names; a line is printed as soon as it is finished.
    private static int All(
        Func<OpenedModel> open,
        IReadOnlyList<PromptRow> rows,
        bool raw,
        int rowsAtOnce,
        SamplingSettings settings)
    {
        using var opened = open();
        var model = opened.Text;
        TokenGenerator.Check(model.Model);
        foreach (var (row, name) in rows.SelectMany(row => row.Adapters.Select(name => (row, name))))
        {
            if (opened.Named is null)
                throw new InputException($"{row.Place}: the row asks for the adapter '{name}', but there are none to choose from. Give "
                    + $"them: --adapters {name}=FOLDER.");
            if (!opened.Named.Names.Contains(name))
                throw new InputException($"{row.Place}: there is no adapter '{name}'; "
                    + $"{Nearest.Hint(name, opened.Named.Names, "adapters")}");
        }
        opened.Named?.Choose([.. rows.Select(row => row.Adapters)]);
        List<int[]> prompts = [.. rows.Select(row => Encode(model, row.Prompt, raw))];
        // A fault is reported with its line, before anything is generated, because generation may take long.
        var generator = new TokenGenerator(model.Model, model.Ends);
        for (var i = 0; i < prompts.Count; i++)
            if (generator.Unfit(prompts[i]) is { } fault) throw new InputException($"{rows[i].Place}: {fault}");
        foreach (var (answer, i) in model.Each(prompts, settings, rowsAtOnce).Select((answer, i) => (answer, i)))
            Console.WriteLine(rows[i].With("generated", new JsonObject
            {
                ["text"] = answer.Text,
                ["tokens"] = new JsonArray([.. answer.Generated.Tokens.Select(token => JsonValue.Create(token))]),
                ["promptTokens"] = prompts[i].Length,
                ["finish"] = answer.Generated.Finish,
                ["endToken"] = answer.Generated.End,
            }).ToJsonString(JsonLayout.RecordLine));
        return Outcome.Done;
    }

    // A model that was not trained on conversations continues the text.
    private static int[] Encode(TextModel model, string prompt, bool raw) =>
        raw || !model.Contract.Recorded ? Opening(model, prompt) : model.Contract.Encode([new Turn(prompt)], model.Tokenizer);

    private static int[] Opening(TextModel model, string text)
    {
        var ids = model.Tokenizer.EncodePlain(text);
        return model.Tokenizer.IdOf(model.Contract.Template.Begin) is { } begin && model.Contract.Template.Begin.Length > 0
            ? [begin, .. ids]
            : ids;
    }
}
