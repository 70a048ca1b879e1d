using System.CommandLine;
using System.Text;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text.Templates;
using Polymath.Tuning;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath chat FOLDER</c>: a conversation in the terminal.</summary>
internal static class ChatVerb
{
    private const string Commands = "/forget starts a new conversation, /exit leaves, Ctrl-C stops an answer.";
    private const string Choosing = " /adapter NAME lets that adapter answer (several names: all of them), /adapter alone the base.";

    internal static Command Make()
    {
        var choice = new ModelChoice(named: true);
        var remember = new Option<bool>("--remember")
        {
            Description = "Lets the model see the conversation so far; without it each message starts a new conversation.",
        };
        var (sampling, template) = (new Sampling(), new TemplateChoice());
        var command =
            new Command("chat", "Talks with a model. /forget starts again, /adapter NAME changes the adapter, /exit leaves.") { remember };
        choice.AddTo(command);
        template.AddTo(command);
        sampling.AddTo(command);
        command.SetAction(
            parsed => Outcome.Of(() =>
            {
                var settle = sampling.Read(parsed);
                return Talk(
                    choice.Open(parsed, choosing: true, template), parsed.GetValue(remember), settle, sampling.ChoosesLength(parsed));
            }));
        return command;
    }

    private static int Talk(OpenedModel opened, bool remember, Func<LanguageModel, SamplingSettings> settle, bool lengthChosen)
    {
        using var closing = opened;
        var model = opened.Text;
        TokenGenerator.Check(model.Model);
        var settings = settle(model.Model);
        if (!Console.IsInputRedirected)
            Console.WriteLine($"{model.Model.Configuration["model_type"]}, {model.Model.Weights.Sum(weight => weight.Count):N0} "
                + $"parameters, context {model.Model.Sizes.ContextLength:N0}; "
                + $"{(remember ? "the conversation is remembered" : "each message stands alone (--remember)")}. "
                + $"{Commands}{(opened.Named is null ? "" : Choosing)}");
        if (opened.Named is { } named) Choose(named, [named.Names[0]]);
        if (model.Contract.Note is { } note) Noted.Tell(note);
        if (!model.Contract.Recorded)
            Console.Error.WriteLine("polymath: this model was not trained on conversations, so its answers may make no sense. To let "
                + "it continue a text: polymath generate FOLDER --prompt TEXT");
        var turns = new List<Turn>();
        for (var seed = settings.Seed; ; seed++)
        {
            if (!Console.IsInputRedirected) Console.Write("> ");
            switch (Console.ReadLine()?.Trim())
            {
                case null or "/exit" or "/quit":
                    return Outcome.Done;
                case "":
                    continue;
                case "/forget":
                    turns.Clear();
                    continue;
                case "/help":
                    Console.WriteLine(Commands + (opened.Named is null ? "" : Choosing));
                    continue;
                case var order when order.Split(' ', StringSplitOptions.RemoveEmptyEntries) is ["/adapter", .. var names]:
                    Choose(opened.Named, names);
                    continue;
                case ['/', ..] order when Mistyped(order) is { } told:
                    Console.WriteLine(told);
                    continue;
                case var message:
                    Answer(
                        model,
                        turns,
                        message,
                        settings with { Seed = seed },
                        lengthChosen);
                    if (!remember) turns.Clear();
                    continue;
            }
        }
    }

    // A path or a fraction is a message, and so is a sentence that begins with one. A single word after a slash, or one that is similar to
    // a command, is a mistyped command.
    private static string? Mistyped(string order)
    {
        var words = order[1..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0 || !words[0].All(char.IsAsciiLetter)) return null;
        string[] known = ["forget", "adapter", "exit", "help"];
        if (known.Contains(words[0])) return $"/{words[0]} stands alone. {Commands}";
        var near = Nearest.To(words[0], known);
        if (near is not null) return $"There is no command /{words[0]}; did you mean /{near}? {Commands}";
        return words.Length > 1 ? null : $"There is no command /{words[0]}. {Commands}";
    }

    private static void Choose(NamedAdapters? adapters, string[] names)
    {
        if (adapters is null)
        {
            Console.Error.WriteLine("There are no adapters to choose from. Give them at the start: chat FOLDER --adapters NAME=FOLDER.");
            return;
        }
        try
        {
            names = [.. names.Distinct()];
            adapters.Choose([names]);
            Console.Error.WriteLine($"({(names.Length == 0 ? "The base" : string.Join(" and ", names))} "
                + $"{(names.Length > 1 ? "answer" : "answers")}, of {string.Join(", ", adapters.Names)}.)");
        }
        catch (InputException e)
        {
            Console.Error.WriteLine(e.Message);
        }
    }

    // When the context is full, the oldest messages are dropped.
    private static int[] Fitting(TextModel model, List<Turn> turns, SamplingSettings settings)
    {
        var prompt = model.Contract.Encode(turns, model.Tokenizer);
        var before = turns.Count;
        // A file may allow answers as long as the context; half of it stays for the conversation.
        var room = Math.Min(settings.MaxNewTokens, model.Model.Sizes.ContextLength / 2);
        while (turns.Count > 1 && prompt.Length + room > model.Model.Sizes.ContextLength)
        {
            turns.RemoveAt(0);
            prompt = model.Contract.Encode(turns, model.Tokenizer);
        }
        if (turns.Count < before)
            Console.Error.WriteLine($"(The context of {model.Model.Sizes.ContextLength:N0} tokens is full: the first messages, "
                + $"{before - turns.Count} of {before}, are forgotten.)");
        return prompt;
    }

    private static void Answer(
        TextModel model,
        List<Turn> turns,
        string message,
        SamplingSettings settings,
        bool lengthChosen)
    {
        turns.Add(new Turn(message));
        var prompt = Fitting(model, turns, settings);
        using var stop = new CancellationTokenSource();
        void Interrupt(object? sender, ConsoleCancelEventArgs e)
        {
            e.Cancel = true;
            stop.Cancel();
        }
        Console.CancelKeyPress += Interrupt;
        try
        {
            // What was shown is remembered: a stop text is neither.
            var shown = new StringBuilder();
            void Show(string text)
            {
                shown.Append(text);
                Console.Write(text);
            }
            var answer = model.Stream(prompt, settings, Show, cancellation: stop.Token);
            AnswerEnd.Tell(
                model,
                prompt.Length,
                answer,
                settings,
                lengthChosen);
            turns[^1] = turns[^1] with { Assistant = shown.ToString() };
        }
        catch (OperationCanceledException)
        {
            turns.RemoveAt(turns.Count - 1);
        }
        catch (InputException e)
        {
            // One message that cannot be answered does not end the conversation.
            turns.RemoveAt(turns.Count - 1);
            Console.Write(e.Message);
        }
        finally
        {
            Console.CancelKeyPress -= Interrupt;
        }
        Console.WriteLine();
    }
}
