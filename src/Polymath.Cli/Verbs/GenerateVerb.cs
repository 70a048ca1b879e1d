using System.CommandLine;
using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath generate FOLDER --prompt TEXT</c>: one answer, as it comes or as JSON.</summary>
static class GenerateVerb
{
    static readonly JsonSerializerOptions layout = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    internal static Command Make()
    {
        var choice = new ModelChoice();
        var prompt = new Option<string?>("--prompt") { Description = "What to answer or to go on from; read from standard input when left out." };
        var raw = new Option<bool>("--raw") { Description = "Goes on from the text as it stands, instead of answering it as a message." };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object." };
        var sampling = new Sampling();
        var command = new Command("generate", "Answers a prompt, or goes on from a text.") { prompt, raw, json };
        choice.AddTo(command);
        sampling.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() => Go(
            () => choice.Open(parsed), parsed.GetValue(prompt) ?? Ask(), parsed.GetValue(raw), parsed.GetValue(json), sampling.Read(parsed))));
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
        // A model that was taught no layout of conversations goes on from the text.
        var asText = raw || !model.Contract.Recorded;
        var ids = asText ? Opening(model, prompt) : model.Contract.Encode([new Turn(prompt)], model.Tokenizer);
        var started = Stopwatch.GetTimestamp();
        var text = new System.Text.StringBuilder();
        var answer = model.Stream(ids, settings, piece =>
        {
            text.Append(piece);
            if (!json) Console.Write(piece);
        });
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Console.WriteLine(json
            ? JsonSerializer.Serialize(new { prompt, text = text.ToString(), tokens = answer, promptTokens = ids.Length, finish = answer.Length < Math.Min(settings.MaxNewTokens, model.Model.RoomFor(ids.Length)) ? "end" : "length", seed = settings.Seed, seconds, tokensPerSecond = answer.Length / seconds }, layout)
            : "");
        if (!json) ContextEnd.Tell(model, ids.Length, answer.Length, settings);
        return Outcome.Done;
    }

    static int[] Opening(TextModel model, string text)
    {
        var ids = model.Tokenizer.EncodePlain(text);
        return model.Tokenizer.IdOf(model.Contract.Template.Begin) is { } begin && model.Contract.Template.Begin.Length > 0 ? [begin, .. ids] : ids;
    }
}
