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
internal static class GenerateVerb
{
    internal static Command Make()
    {
        var choice = new ModelChoice(named: true);
        var prompt =
            new Option<string?>("--prompt") { Description = "The text to answer or to continue; read from standard input when left out." };
        var raw = new Option<bool>("--raw") { Description = "Continues the text itself, instead of answering it as a message." };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object; rows of --input are JSON anyway." };
        var system = new Option<string?>("--system")
        {
            Description = "The system message before the prompt, and before each conversation of --input that has none.",
        };
        var input = new RowInput(
            "prompt",
            "{\"prompt\": \"...\", \"adapter\": \"NAME\"} or {\"messages\": [{\"role\": \"user\", \"content\": \"...\"}]}",
            "what was generated");
        var (sampling, template) = (new Sampling(), new TemplateChoice());
        var command = new Command("generate", "Answers a prompt or a file of prompts, or continues texts.") { prompt, raw, json, system };
        input.AddTo(command);
        choice.AddTo(command);
        template.AddTo(command);
        sampling.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var asked =
                new Asked(parsed.GetValue(raw), parsed.GetValue(system), sampling.Read(parsed), sampling.ChoosesLength(parsed));
            if (asked.Raw && asked.System is not null)
                throw new InputException("--raw continues the text itself, so there is no place for --system. Leave out one of the two.");
            return input.Read(parsed, prompt) is var (rows, atOnce)
                ? All(() => choice.Open(parsed, choosing: true, template), rows, asked, atOnce)
                : Go(() => choice.Open(parsed, template: template), input.Text(parsed, prompt), asked, parsed.GetValue(json));
        }));
        return command;
    }

    // What the options say about every prompt.
    private sealed record Asked(bool Raw, string? System, Func<LanguageModel, SamplingSettings> Settle, bool LengthChosen)
    {
        // A model that was not trained on conversations continues the text.
        internal bool Continues(TextModel model) => Raw || System is null && !model.Contract.Recorded;
    }

    private static int Go(Func<OpenedModel> open, string prompt, Asked asked, bool json)
    {
        using var opened = open();
        var model = opened.Text;
        TokenGenerator.Check(model.Model);
        var settings = asked.Settle(model.Model);
        var ids = Encode(model, prompt, asked);
        var started = Stopwatch.GetTimestamp();
        var text = new System.Text.StringBuilder();
        var answer = model.Stream(
            ids,
            settings,
            piece =>
            {
                text.Append(piece);
                if (!json) Console.Write(piece);
            },
            asked.Continues(model));
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
        if (!json)
            AnswerEnd.Tell(
                model,
                ids.Length,
                answer,
                settings,
                asked.LengthChosen);
        return Outcome.Done;
    }

    // One base for all rows, each with the adapters that it names; a line is printed as soon as it is finished.
    private static int All(Func<OpenedModel> open, IReadOnlyList<PromptRow> rows, Asked asked, int rowsAtOnce)
    {
        if (asked.Raw && rows.FirstOrDefault(row => row.Messages is not null) is { } talking)
            throw new InputException($"{talking.Place}: the row has messages, but --raw continues a text. Leave --raw out, or write a "
                + "prompt.");
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
        var settings = asked.Settle(model.Model);
        List<int[]> prompts = [.. rows.Select(row => row.Messages is { } messages
            ? PromptMessages.Encode(
                model,
                messages,
                row.Fields["tools"] as JsonArray,
                asked.System,
                row.Place)
            : Encode(model, row.Prompt, asked))];
        // A fault is reported with its line, before anything is generated, because generation may take long.
        var generator = new TokenGenerator(model.Model, model.Ends);
        for (var i = 0; i < prompts.Count; i++)
            if (generator.Unfit(prompts[i]) is { } fault) throw new InputException($"{rows[i].Place}: {fault}");
        foreach (var (answer, i) in model.Each(prompts, settings, rowsAtOnce, asked.Continues(model)).Select((answer, i) => (answer, i)))
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

    private static int[] Encode(TextModel model, string prompt, Asked asked)
    {
        if (asked.Continues(model)) return Opening(model, prompt);
        return asked.System is null
            ? model.Contract.Encode([new Turn(prompt)], model.Tokenizer)
            : PromptMessages.Encode(
                model,
                [Dialogue.Message("user", prompt)],
                null,
                asked.System,
                "--system");
    }

    private static int[] Opening(TextModel model, string text)
    {
        // Where more than one token opens a text, the tokenizer knows which stand where.
        if (model.Contract.Template.Before.Length > 0) return model.Tokenizer.Encode(text, addSpecialTokens: true);
        var ids = model.Tokenizer.EncodePlain(text);
        return model.Tokenizer.IdOf(model.Contract.Template.Begin) is { } begin && model.Contract.Template.Begin.Length > 0
            ? [begin, .. ids]
            : ids;
    }
}
