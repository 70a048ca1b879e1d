using System.CommandLine;
using System.Text.Json;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Training.Stages;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath prompt preview RECIPE --stage NAME</c>: shows a filled prompt token by token; <c>search</c> is beside it.</summary>
internal static class PromptVerb
{
    private const int KindShown = 9;

    internal static Command Make() => new("prompt", "Looks at the prompts of task stages, and searches for better ones.")
    {
        Preview(), PromptSearchVerb.Make(),
    };

    private static Command Preview()
    {
        var recipe = new Argument<string>("recipe") { Description = "The recipe's file." };
        var stage = new Option<string>("--stage") { Description = "The task stage that asks by a prompt.", Required = true };
        var row = new Option<int>("--row")
        {
            Description = "The number of the training row that fills the prompt, from 1.", DefaultValueFactory = _ => 1,
        };
        var prompt = new Option<int>("--prompt")
        {
            Description = "The number of the prompt, from 1, where a stage asks several.", DefaultValueFactory = _ => 1,
        };
        var small = new Option<bool>("--small") { Description = "Reads the recipe with its `small` block applied." };
        var set = new Option<string[]>("--set") { Description = "Overrides a setting first." };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object." };
        var command = new Command(
            "preview", "Shows a row's prompt token by token: written, filled, cut and answer; and the tokens of the labels' words.")
        {
            recipe, stage, row, prompt, small, set, json,
        };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var reading = RecipeReader.Read(parsed.GetRequiredValue(recipe), parsed.GetValue(small), parsed.GetValue(set));
            reading.OrThrow();
            TorchRuntime.Load();
            var terminal = new Terminal(plain: Console.Error);
            var preview = terminal.Show(() => PromptPreview.Of(
                reading,
                parsed.GetRequiredValue(stage),
                (parsed.GetValue(row), parsed.GetValue(prompt)),
                terminal,
                hubs.Open(parsed, terminal)));
            if (parsed.GetValue(json)) Console.WriteLine(JsonSerializer.Serialize(preview, JsonLayout.RecordLine));
            else Show(preview);
            return Outcome.Done;
        }));
        return command;
    }

    private static void Show(PromptPreview preview)
    {
        Console.WriteLine($"{preview.Row}, label '{preview.Label}': {preview.Length:N0} tokens of at most {preview.Most:N0}");
        var tokens = preview.Tokens;
        for (int from = 0, to; from < tokens.Count; from = to)
        {
            for (to = from + 1; to < tokens.Count && tokens[to].Kind == tokens[from].Kind;) to++;
            var run = tokens.Skip(from).Take(to - from).Select(token => token.Token.ReplaceLineEndings("\\n"));
            Console.WriteLine($"{tokens[from].Kind.PadRight(KindShown)}{string.Join(' ', run)}");
        }
        foreach (var (label, words) in preview.Words)
            Console.WriteLine($"label '{label}': {string.Join(", ", words)}");
    }
}
