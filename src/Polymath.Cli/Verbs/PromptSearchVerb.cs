using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Training.Searches;
using Polymath.Tuning.Prompts.Searches;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary>
/// <c>polymath prompt search RECIPE --stage NAME --kind KIND</c>: searches for a better template or better label words; the same command
/// goes on where it stopped.
/// </summary>
internal static class PromptSearchVerb
{
    private const int Shown = 10;

    internal static Command Make()
    {
        var choice = new Options();
        var command = new Command(
            "search",
            "Searches for a prompt: trigger words by gradients (autoprompt), templates that a T5 fills (lmbff) or any model writes "
                + "(written), or label words (words). Writes a leaderboard and found.yaml, which a recipe names: "
                + "template: {file: found.yaml}.");
        command.Add(choice.Recipe);
        foreach (var option in choice.All) command.Add(option);
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() => Go(choice, hubs, parsed)));
        return command;
    }

    private static int Go(Options choice, HubUse hubs, ParseResult parsed)
    {
        var reading = RecipeReader.Read(
            parsed.GetRequiredValue(choice.Recipe), parsed.GetValue(choice.Small), parsed.GetValue(choice.Set));
        var recipe = reading.OrThrow();
        var spec = choice.Read(parsed);
        var folder = Path.GetFullPath(parsed.GetValue(choice.Folder) ?? Path.Combine(
            "runs",
            $"{recipe.Name}{(parsed.GetValue(choice.Small) ? "-small" : "")}-{spec.Stage}-{spec.Kind.ToString().ToLowerInvariant()}"));
        TorchRuntime.Load();
        using var stop = new CancellationTokenSource();
        void Ask(PosixSignalContext signal)
        {
            // A second request stops at once.
            signal.Cancel = !stop.IsCancellationRequested;
            stop.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Ask);
        var terminal = new Terminal();
        var found = terminal.Show(() => new PromptSearch(spec, folder, terminal).Run(
            reading,
            hubs.Open(parsed, terminal),
            stop.Token,
            parsed.GetValue(choice.StopAfter) ?? int.MaxValue));
        if (parsed.GetValue(choice.Json)) Console.WriteLine(JsonSerializer.Serialize(found, JsonLayout.RecordLine));
        else Print(found, folder);
        return Outcome.Done;
    }

    private static void Print(IReadOnlyList<SearchCandidate> found, string folder)
    {
        if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = 150;
        var table = new Table().AddColumn("accuracy").AddColumn("loss").AddColumn("from").AddColumn("template").AddColumn("words");
        foreach (var one in found.Take(Shown))
            table.AddRow(
                $"{one.Accuracy:0.####}",
                $"{one.Loss:0.####}",
                Markup.Escape(one.From),
                Markup.Escape(one.Template),
                Markup.Escape(string.Join("; ", one.Words.Select(pair => $"{pair.Key}: {string.Join(", ", pair.Value)}"))));
        AnsiConsole.Write(table);
        Console.WriteLine($"{found.Count} candidates: {Path.Combine(folder, SearchBoard.Leaderboard)}");
        Console.WriteLine($"The best one: {Path.Combine(folder, SearchBoard.Best)}");
    }

    private sealed class Options
    {
        internal readonly Argument<string> Recipe = new("recipe") { Description = "The recipe's file." };
        private readonly Option<string> stage =
            new("--stage") { Description = "The task stage whose prompt is the start, and whose rows are read.", Required = true };
        private readonly Option<string> kind = new("--kind") { Description = "autoprompt, lmbff, words or written.", Required = true };
        private readonly Option<string?> from =
            new("--from") { Description = "A run of the recipe, whose model before the stage is asked; the recipe's own when left out." };
        private readonly Option<string?> writer =
            new("--writer") { Description = "lmbff, written: the folder or run of the model that writes." };
        private readonly Option<int?> shots = new("--shots")
        {
            Description = "The training rows of each label, and as many others to choose by; the stage's own split when left out.",
        };
        private readonly Option<int> triggers = Count("--triggers", 3, "autoprompt: how many words are searched.");
        private readonly Option<int> candidates =
            Count("--candidates", 10, "autoprompt: how many words are tried in a place; words: how many of each label are combined.");
        private readonly Option<int> iterations = Count("--iterations", 30, "autoprompt: how often a word is exchanged.");
        private readonly Option<int> restarts = Count("--restarts", 2, "autoprompt: how often it begins with random words.");
        private readonly Option<int> batch =
            Count("--batch", 32, "autoprompt: the rows of a gradient, and those that words are tried on; --tune: the rows of a step.");
        private readonly Option<int?> beams = new("--beams")
        {
            Description = "autoprompt: how many triggers an exchange keeps (1); lmbff: the beams (20); words: how many combinations are "
                + "tried on the development split (20).",
        };
        private readonly Option<int?> length =
            new("--max-length") { Description = "lmbff, written: the most tokens that are written (20, 64)." };
        private readonly Option<string?> ask = new("--ask")
        {
            Description = "written: what the writer is asked; {template} is the stage's template, {FIELD} a training row's field.",
        };
        private readonly Option<int> samples = Count("--samples", 40, "written: how often the writer is asked.");
        private readonly Option<double> temperature =
            new("--temperature") { Description = "written: the temperature of its answers.", DefaultValueFactory = _ => 1 };
        private readonly Option<int?> tune = new("--tune")
        {
            Description = "lmbff, written, words: the steps that every weight of the model is trained by each candidate before it is "
                + "scored; the model is asked as it is when left out.",
        };
        private readonly Option<double> tuneRate =
            new("--tune-rate") { Description = "The learning rate of --tune.", DefaultValueFactory = _ => 1e-5 };
        private readonly Option<string> beamScore = new("--beam-score")
        {
            Description = "lmbff: how a token of a template is scored over all rows: logits, the log-softmax of its mean logits; or "
                + "likelihood, the mean of its log-probabilities.",
            DefaultValueFactory = _ => "logits",
        };
        private readonly Option<string?> forbid =
            new("--forbid") { Description = "autoprompt: words that are never chosen, besides labels and their words." };
        private readonly Option<int> keep = Count("--keep", 3, "How many of the best are kept as files.");
        internal readonly Option<string?> Folder = new("--run-dir") { Description = "The search's folder (runs/NAME-STAGE-KIND)." };
        internal readonly Option<bool> Small = new("--small") { Description = "Applies the recipe's `small` block." };
        internal readonly Option<string[]> Set =
            new("--set") { Description = "Overrides a setting of the recipe.", DefaultValueFactory = _ => [] };
        internal readonly Option<int?> StopAfter =
            new("--stop-after") { Description = "Stops after so many exchanges or candidates; the same command goes on." };
        internal readonly Option<bool> Json = new("--json") { Description = "Prints the candidates as JSON." };

        internal IEnumerable<Option> All =>
        [
            stage, kind, from, writer, shots, triggers, candidates, iterations, restarts, batch, beams, length, forbid, keep, ask, samples,
            temperature, tune, tuneRate, beamScore, Folder, Small, Set, StopAfter, Json,
        ];

        private static Option<int> Count(string name, int value, string description) =>
            new(name) { Description = description, DefaultValueFactory = _ => value };

        private static int Above(ParseResult parsed, Option<int> option) => parsed.GetValue(option) is >= 1 and <= 100000 and var count
            ? count
            : throw new InputException($"{option.Name} is {parsed.GetValue(option)}; write a number from 1 to 100,000.");

        // The options that only some kinds read.
        private IEnumerable<(Option Option, IReadOnlyList<SearchKind> Kinds)> Own =>
        [
            (writer, [SearchKind.Lmbff, SearchKind.Written]), (triggers, [SearchKind.Autoprompt]),
            (candidates, [SearchKind.Autoprompt, SearchKind.Words]), (iterations, [SearchKind.Autoprompt]),
            (restarts, [SearchKind.Autoprompt]), (beams, [SearchKind.Autoprompt, SearchKind.Lmbff, SearchKind.Words]),
            (tune, [SearchKind.Lmbff, SearchKind.Words, SearchKind.Written]),
            (tuneRate, [SearchKind.Lmbff, SearchKind.Words, SearchKind.Written]), (beamScore, [SearchKind.Lmbff]),
            (length, [SearchKind.Lmbff, SearchKind.Written]), (forbid, [SearchKind.Autoprompt]), (ask, [SearchKind.Written]),
            (samples, [SearchKind.Written]), (temperature, [SearchKind.Written]),
        ];

        private SearchKind KindOf(ParseResult parsed)
        {
            var asked = Words.Read<SearchKind>("--kind", parsed.GetRequiredValue(kind));
            foreach (var (option, kinds) in Own)
                if (!kinds.Contains(asked) && parsed.GetResult(option) is { Implicit: false })
                    throw new InputException($"{option.Name} belongs to --kind {string.Join(" and ", kinds.Select(Name))}; a search of the "
                        + $"kind {Name(asked)} does not read it. Leave it out.");
            foreach (var (option, read) in new (Option, bool)[]
            {
                (batch, asked == SearchKind.Autoprompt || parsed.GetValue(tune) is not null),
                (tuneRate, parsed.GetValue(tune) is not null),
            })
                if (!read && parsed.GetResult(option) is { Implicit: false })
                    throw new InputException($"{option.Name} is of the training by each candidate, and there is none. Add --tune STEPS, or "
                        + "leave it out.");
            return asked;
            static string Name(SearchKind one) => one.ToString().ToLowerInvariant();
        }

        internal SearchSpec Read(ParseResult parsed) => new(
            KindOf(parsed),
            parsed.GetRequiredValue(stage),
            parsed.GetValue(from),
            parsed.GetValue(writer),
            parsed.GetValue(shots) is < 1
                ? throw new InputException($"--shots is {parsed.GetValue(shots)}; write 1 or more, or leave it out.")
                : parsed.GetValue(shots),
            Above(parsed, triggers),
            Above(parsed, candidates),
            Above(parsed, iterations),
            Above(parsed, restarts),
            Above(parsed, batch),
            parsed.GetValue(beams) is { } width && width is < 1 or > 100000
                ? throw new InputException($"--beams is {width}; write a number from 1 to 100,000.")
                : parsed.GetValue(beams),
            parsed.GetValue(length) is < 1
                ? throw new InputException($"--max-length is {parsed.GetValue(length)}; write 1 or more, or leave it out.")
                : parsed.GetValue(length),
            parsed.GetValue(forbid) is { } words ? Words.List(words) : null,
            Above(parsed, keep),
            parsed.GetValue(ask),
            Above(parsed, samples),
            parsed.GetValue(temperature),
            Tune(parsed),
            Words.Read<TemplateScore>("--beam-score", parsed.GetRequiredValue(beamScore)));

        private TuneSettings? Tune(ParseResult parsed)
        {
            if (parsed.GetValue(tune) is not { } steps) return null;
            if (steps is < 1 or > 100000) throw new InputException($"--tune is {steps}; write a number of steps from 1 to 100,000.");
            return parsed.GetValue(tuneRate) is > 0 and <= 100 and var rate
                ? new TuneSettings(steps, rate, Above(parsed, batch))
                : throw new InputException($"--tune-rate is {parsed.GetValue(tuneRate)}; write a number above 0, such as 1e-5.");
        }
    }
}
