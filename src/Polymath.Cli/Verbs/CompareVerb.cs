using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Training.Comparison;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary>
/// <c>polymath compare RECIPE --deltas a,b</c>: compares deltas on the user's own task; <c>--prompts a,b --shots 0,16,full</c> compares
/// task stages on few and all rows. Each candidate is a separate run in a separate process; the same command continues where it stopped.
/// </summary>
internal static class CompareVerb
{
    internal static Command Make()
    {
        var choice = new Options();
        var command = new Command(
            "compare",
            "Trains a stage in several ways (--deltas), or several task stages on few and all rows (--prompts), under the same data and "
                + "seeds, and shows quality against parameters, time and memory.");
        foreach (var argument in choice.Arguments) command.Add(argument);
        foreach (var option in choice.All) command.Add(option);
        command.SetAction(parsed => Outcome.Of(() => Go(choice, parsed)));
        return command;
    }

    private sealed class Options
    {
        internal readonly Argument<string> Recipe = new("recipe") { Description = "The recipe's file." };
        internal readonly Option<string?> Deltas = new("--deltas")
        {
            Description = $"Forms, presets ({string.Join(", ", DeltaPresets.Names)}) and `full`, such as lora,dora,prefixTuning.",
        };
        internal readonly Option<string?> Prompts = new("--prompts")
        {
            Description = "Task stages that start from one model, such as written,soft,head: with prompts, or with a head over labels.",
        };
        internal readonly Option<string?> Shots = new("--shots")
        {
            Description = "With --prompts: the training rows of each label, such as 0,16,full; `full` when left out.",
        };
        internal readonly Option<string?> Budget =
            new("--budget") { Description = "Parameter budgets, such as 0.1%,0.5%; each form's default size when left out." };
        internal readonly Option<string[]> Roles = new("--roles")
        {
            Description = "Sockets, such as query,value; may be given several times for several choices.", DefaultValueFactory = _ => [],
        };
        internal readonly Option<string[]> Vary = new("--vary")
        {
            Description = "A setting and its values, such as r=4,8,16 or insertion=sequential,parallel; may be given several times.",
            DefaultValueFactory = _ => [],
        };
        internal readonly Option<string?> Rates =
            new("--rates") { Description = "Learning rates, such as 1e-3,1e-2; the stage's own when left out." };
        internal readonly Option<int> Seeds =
            new("--seeds") { Description = "The number of seeds for each, starting from the recipe's seed.", DefaultValueFactory = _ => 1 };
        internal readonly Option<string?> Stage = new("--stage") { Description = "The stage that is trained; the last one when left out." };
        internal readonly Option<string?> Quality =
            new("--quality") { Description = "The ability that ranks the candidates; the stage's first when left out." };
        internal readonly Option<string?> From =
            new("--from") { Description = "A run of the recipe whose earlier stages are used instead of training them." };
        internal readonly Option<string?> Folder = new("--run-dir") { Description = "The comparison's folder (runs/NAME-STAGE-compare)." };
        internal readonly Option<bool> Small = new("--small") { Description = "Applies the recipe's `small` block." };
        internal readonly Option<string[]> Set =
            new("--set") { Description = "Overrides a setting of the recipe.", DefaultValueFactory = _ => [] };
        internal readonly Option<string?> Part = new("--part") { Description = "The part that a child process runs.", Hidden = true };

        internal IEnumerable<Argument> Arguments => [Recipe];

        internal IEnumerable<Option> All =>
            [Deltas, Prompts, Shots, Budget, Roles, Vary, Rates, Seeds, Stage, Quality, From, Folder, Small, Set, Part];

        /// <summary>The plan, and the end of its folder's name.</summary>
        internal (TrainingPlan Plan, string Name) PlanOf(Recipe recipe, ParseResult parsed)
        {
            var (deltas, prompts) = (parsed.GetValue(Deltas), parsed.GetValue(Prompts));
            if (deltas is null == prompts is null)
                throw new InputException("Write --deltas lora,full to compare what is trained of one stage, or --prompts STAGE,STAGE to "
                    + "compare task stages: one of the two.");
            if (prompts is null)
            {
                if (parsed.GetValue(Shots) is not null)
                    throw new InputException("--shots belongs to --prompts; a comparison of deltas trains on all rows. Leave it out.");
                var plan = new ComparisonPlan(recipe, Read(parsed));
                return (plan, plan.Title);
            }
            if (new Option[] { Budget, Roles, Vary, Rates, Stage, Quality }
                .FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } unread)
                throw new InputException($"{unread.Name} belongs to --deltas; what the stages of --prompts train stands in the recipe. "
                    + "Leave it out.");
            IReadOnlyList<int?> shots = parsed.GetValue(Shots) is { } counts ? [.. List(counts).Select(Count)] : [null];
            return (new PromptPlan(recipe, List(prompts), shots, SeedsOf(parsed)), "prompts");
        }

        private static int? Count(string text)
        {
            if (text == "full") return null;
            return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count <= 1000000
                ? count
                : throw new InputException($"--shots has '{text}'; write whole numbers and `full`, such as 0,16,full.");
        }

        private int SeedsOf(ParseResult parsed) => parsed.GetValue(Seeds) is >= 1 and <= 100 and var seeds
            ? seeds
            : throw new InputException($"--seeds is {parsed.GetValue(Seeds)}; write a number from 1 to 100.");

        internal ComparisonSpec Read(ParseResult parsed) => new(
            List(parsed.GetValue(Deltas)!),
            parsed.GetValue(Stage),
            parsed.GetValue(Budget) is { } budgets ? List(budgets) : null,
            [.. parsed.GetValue(Roles)!
                .Select(words => (IReadOnlyList<Socket>)[.. List(words).Select(word => Words.Read<Socket>("--roles", word))])],
            parsed.GetValue(Vary)!.Select(Pair).GroupBy(pair => pair.Key)
                .ToDictionary(group => group.Key, group => (IReadOnlyList<string>)[.. group.SelectMany(pair => List(pair.Values))]),
            parsed.GetValue(Rates) is { } rates ? [.. List(rates).Select(Number)] : null,
            SeedsOf(parsed),
            parsed.GetValue(Quality));

        private static string[] List(string text) => Words.List(text) is { Length: > 0 } items
            ? items
            : throw new InputException($"The list '{text}' is empty; write names with commas between them, such as lora,dora.");

        private static (string Key, string Values) Pair(string text) => text.Split('=', 2) is [var key, var values] && key.Length > 0
            ? (key, values)
            : throw new InputException($"--vary is '{text}'; write SETTING=VALUE,VALUE, such as r=4,8,16.");

        private static double Number(string text) =>
            double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var rate) && rate is > 0 and < 100
                ? rate
                : throw new InputException($"--rates holds '{text}'; write numbers such as 1e-3,3e-3.");
    }

    private static int Go(Options choice, ParseResult parsed)
    {
        var reading = RecipeReader.Read(
            parsed.GetRequiredValue(choice.Recipe), parsed.GetValue(choice.Small), parsed.GetValue(choice.Set)!);
        var recipe = reading.OrThrow();
        var (plan, name) = choice.PlanOf(recipe, parsed);
        var folder = Path.GetFullPath(parsed.GetValue(choice.Folder)
            ?? Path.Combine("runs", $"{recipe.Name}{(parsed.GetValue(choice.Small) ? "-small" : "")}-{name}-compare"));
        var work = new Comparing(plan, reading, folder, parsed.GetValue(choice.From));
        if (parsed.GetValue(choice.Part) is { } part) return work.Do(part);
        using var stop = new CancellationTokenSource();
        void Ask(PosixSignalContext signal)
        {
            // A second request stops at once.
            signal.Cancel = !stop.IsCancellationRequested;
            stop.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Ask);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Ask);
        // The same command again, for a child.
        var report = work.All(part => [.. parsed.Tokens.Select(token => token.Value), "--part", part], stop.Token);
        Print(report);
        Console.WriteLine($"\nChart: {Path.Combine(folder, "compare.html")}    Figures: {Path.Combine(folder, "compare.json")}");
        return Outcome.Done;
    }

    private static void Print(ComparisonReport report)
    {
        if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = 150;
        var names = report.Rows.SelectMany(row => row.Abilities.Keys).Distinct().OrderBy(name => name != report.Quality).ToList();
        var table = new Table().Title($"{Markup.Escape(report.Stage)}, ranked by {Markup.Escape(report.Quality)}").AddColumn("way");
        foreach (var name in names.Concat(["parameters", "share", "seconds", "tokens/s", "peak MB"]))
            table.AddColumn(new TableColumn(Markup.Escape(name)).RightAligned());
        foreach (var row in report.Rows)
            table.AddRow([
                Markup.Escape(row.Name), .. names.Select(name => Cell(row.Abilities.GetValueOrDefault(name))), $"{row.Parameters:N0}",
                $"{row.Share:P2}", $"{row.Seconds:F0}", $"{row.TokensPerSecond:N0}", $"{row.PeakMemoryMegabytes:N0}",
            ]);
        if (report.Start.Count > 0)
            table.AddRow(["(before)", .. names.Select(name => Cell(report.Start.GetValueOrDefault(name))), "", "", "", "", ""]);
        AnsiConsole.Write(table);
        foreach (var (name, why) in report.Failed) Console.WriteLine($"Not trained: {name}: {why}");
    }

    private static string Cell(Spread? spread)
    {
        if (spread is null) return "";
        return spread.Deviation is { } deviation ? $"{spread.Mean:G4} ± {deviation:G2}" : $"{spread.Mean:G4}";
    }
}
