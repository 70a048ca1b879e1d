using System.CommandLine;
using System.Text.Json;
using Polymath.Recipes;
using Polymath.Runs;
using Polymath.Runs.Reports;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath runs</c>: lists runs, shows one in the terminal, compares two.</summary>
internal static class RunsVerb
{
    private const string Usual = "runs";

    internal static Command Make()
    {
        var command = new Command("runs", "Lists runs; shows one with its curves; compares two; draws where models come from.");
        var (dir, json) = (Dir(), Json());
        command.Add(dir);
        command.Add(json);
        command.SetAction(parsed => Outcome.Of(() => List(parsed.GetValue(dir)!, parsed.GetValue(json))));
        command.Add(ListVerb());
        command.Add(ShowVerb());
        command.Add(CompareVerb());
        command.Add(LineageVerb());
        return command;
    }

    private static Option<string> Dir() => new("--dir")
    {
        Description = "The folder whose runs are meant; folders in it are searched, too.",
        DefaultValueFactory = _ => Usual,
    };

    private static Option<bool> Json() => new("--json") { Description = "Prints JSON." };

    private static Command ListVerb()
    {
        var (dir, json) = (Dir(), Json());
        var command = new Command("list", "Lists runs: state, stage, step, last figures.") { dir, json };
        command.SetAction(parsed => Outcome.Of(() => List(parsed.GetValue(dir)!, parsed.GetValue(json))));
        return command;
    }

    private static Command ShowVerb()
    {
        var run = new Argument<string>("run") { Description = "The run's folder, or its name below runs/." };
        var stage = new Option<string?>("--stage") { Description = "Draws this stage alone." };
        var figure = new Option<string>("--figure")
        {
            Description = "The figure that is drawn: loss, heldOutLoss, rate, gradientNorm, or an ability.",
            DefaultValueFactory = _ => MetricLine.Loss,
        };
        var (dir, json) = (Dir(), Json());
        var command = new Command("show", "Shows a run with its curves in the terminal.") { run, stage, figure, dir, json };
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var view = Open(parsed.GetRequiredValue(run), parsed.GetValue(dir)!);
            if (parsed.GetValue(json))
                Console.WriteLine(JsonSerializer.Serialize(RunSummary.Of(view), JsonLayout.IndentedRecord));
            else
                RunPages.Show(view, parsed.GetValue(stage), parsed.GetValue(figure)!);
            return Outcome.Done;
        }));
        return command;
    }

    private static Command LineageVerb()
    {
        var run = new Argument<string>("run") { Description = "The run's folder, or its name below runs/." };
        var (dir, json) = (Dir(), Json());
        var command = new Command("lineage", "Draws which model each stage was made from, with its data and figures.") { run, dir, json };
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var view = Open(parsed.GetRequiredValue(run), parsed.GetValue(dir)!);
            if (parsed.GetValue(json)) Console.WriteLine(JsonSerializer.Serialize(LineagePage.Of(view), JsonLayout.IndentedRecord));
            else LineagePage.Show(view);
            return Outcome.Done;
        }));
        return command;
    }

    private static Command CompareVerb()
    {
        var first = new Argument<string>("first") { Description = "A run's folder, or its name below runs/." };
        var second = new Argument<string>("second") { Description = "Another one." };
        var dir = Dir();
        var command = new Command("compare", "Says what differs between two runs: settings and figures.") { first, second, dir };
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var root = parsed.GetValue(dir)!;
            RunPages.Compare(Open(parsed.GetRequiredValue(first), root), Open(parsed.GetRequiredValue(second), root));
            return Outcome.Done;
        }));
        return command;
    }

    private static RunView Open(string named, string root)
    {
        var below = Path.Combine(root, named);
        if (!RunView.Is(named) && RunView.Is(below))
            return RunView.Open(below);
        var known = RunView.Find(root).Select(folder => Path.GetRelativePath(root, folder)).ToList();
        if (!RunView.Is(named) && known.Count > 0)
            throw new InputException($"'{named}' is no run. {Nearest.Hint(named, known, "runs")}.");
        return RunView.Open(named);
    }

    private static int List(string root, bool json)
    {
        var runs = RunView.Find(root).Select(folder => RunSummary.Of(RunView.Open(folder))).ToList();
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(runs, JsonLayout.IndentedRecord));
            return Outcome.Done;
        }
        if (runs.Count == 0)
        {
            Console.WriteLine($"No run lies below {root}. Start one: polymath run recipes/tang.yaml --small. --dir names another folder.");
            return Outcome.Done;
        }
        var table = new Table().AddColumn("run").AddColumn("state").AddColumn("stage").AddColumn("step").AddColumn("loss")
            .AddColumn("last figures").AddColumn("last change");
        foreach (var run in runs)
        {
            var place = Path.GetRelativePath(root, run.Folder);
            table.AddRow(
                Markup.Escape(place == "." ? run.Name : place),
                run.Phase,
                Markup.Escape($"{run.Stage}{(run.Stages > 0 ? $" ({run.Done} of {run.Stages} done)" : "")}"),
                run.Step is { } step ? $"{step:N0}" : "",
                run.Loss is { } loss ? Figures.Short(loss) : "",
                Markup.Escape(string.Join("  ", run.Figures.Select(pair => $"{pair.Key} {Figures.Short(pair.Value)}"))),
                $"{run.Changed.ToLocalTime():yyyy-MM-dd HH:mm}");
        }
        RunPages.Write(table);
        return Outcome.Done;
    }
}
