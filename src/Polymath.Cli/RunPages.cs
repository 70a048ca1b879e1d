using Polymath.Recipes;
using Polymath.Runs;
using Polymath.Runs.Reports;
using Spectre.Console;

namespace Polymath.Cli;

/// <summary>A run, or two beside each other, as text and tables on the console.</summary>
internal static class RunPages
{
    private const int PipeWidth = 150, CurveWidth = 64;

    /// <summary>Prints a table; a pipe has no width, so tables are not folded for it.</summary>
    /// <param name="table">The table.</param>
    internal static void Write(Table table)
    {
        if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = PipeWidth;
        AnsiConsole.Write(table);
    }

    /// <summary>Prints a run: its state, its stages, curves, abilities and dropped rows.</summary>
    /// <param name="run">The run.</param>
    /// <param name="stage">The only stage whose curve is drawn; null for all.</param>
    /// <param name="figure">The figure that is drawn.</param>
    /// <exception cref="InputException">The stage or the figure is not there.</exception>
    internal static void Show(RunView run, string? stage, string figure)
    {
        if (stage is not null && !run.Visits.Contains(stage))
            throw new InputException($"The run has no figures of a stage '{stage}'. {Nearest.Hint(stage, [.. run.Visits], "stages")}.");
        var summary = RunSummary.Of(run);
        Console.WriteLine($"{run.Name}: {summary.Phase}{(run.State?.Message is { } message ? $" - {message}" : "")}");
        Console.WriteLine($"{run.Folder}{(run.State is { } state ? $"   id {state.Id}   began {Local(state.Began)}" : "")}");
        if (run.Phase == RunPhase.Running)
            Console.WriteLine($"process {run.State!.Process} on {run.State.Machine}; the page {Path.Combine(run.Folder, "report.html")} "
                + "is written at each measurement");
        Write(Stages(run));
        Curves(run, stage, figure);
        if (Abilities(run.Done) is { } abilities)
            Write(abilities);
        foreach (var (visit, rows) in run.Rows.Where(pair => pair.Value.Changed.Count > 0))
            foreach (var change in rows.Changed)
                Console.WriteLine($"{visit}: {change.Rows:N0} rows {change.What}, such as {string.Join("; ", change.Examples)}");
    }

    /// <summary>Prints what differs between two runs.</summary>
    /// <param name="first">The one.</param>
    /// <param name="second">The other.</param>
    internal static void Compare(RunView first, RunView second)
    {
        Console.WriteLine($"A: {first.Folder}\nB: {second.Folder}\n");
        var settings = RecipeDifference.Of(first.Recipe, second.Recipe);
        if (settings.Count == 0)
            Console.WriteLine("The settings are the same.");
        else
        {
            var table = new Table().Title("Settings that differ").AddColumn("setting").AddColumn("A").AddColumn("B");
            foreach (var setting in settings)
                table.AddRow(
                    Markup.Escape(string.Join('.', setting.Keys)),
                    Markup.Escape(setting.Before ?? "(left out)"),
                    Markup.Escape(setting.After ?? "(left out)"));
            Write(table);
        }
        Write(Figures(first, second));
    }

    private static Table Stages(RunView run)
    {
        var table = new Table().Title("Stages").AddColumn("stage").AddColumn("state");
        foreach (var name in new[] { "steps", "epoch", "loss", "held out", "rate", "gradient norm", "tokens/s", "memory" })
            table.AddColumn(new TableColumn(name).RightAligned());
        foreach (var visit in run.Visits.Concat(run.Stages.Where(stage => run.Visits.All(visit => StageOf(visit) != stage))))
        {
            var done = run.Done.FirstOrDefault(record => record.Report?.Name == visit)?.Report;
            var last = run.LastStep(visit);
            var heldOut = run.Metrics.LastOrDefault(line => line.Stage == visit && line.Name == EvaluateSpec.HeldOutLoss);
            table.AddRow(
                Markup.Escape(visit),
                StateOf(done, last),
                last is null ? "" : $"{last.Step:N0}",
                last?.Epoch is { } epoch ? $"{epoch:0.##}" : "",
                done is not null ? Short(done.LastLoss) : Short(last?.Value),
                Short(heldOut?.Value) + (heldOut?.Spread is { } spread ? $" ± {Short(spread)}" : ""),
                last?.Rate is { } rate ? $"{rate:0.0e+0}" : "",
                Short(last?.GradientNorm),
                Short(done?.TokensPerSecond ?? last?.TokensPerSecond),
                last?.MemoryMegabytes is { } memory ? Runs.Reports.Figures.Memory(memory) : "");
        }
        return table;
    }

    private static string StateOf(StageReport? done, MetricLine? last)
    {
        if (done is not null)
            return "finished";
        return last is null ? "to come" : "unfinished";
    }

    // A visit of a later round is named after its stage and round: teach.2.
    private static string StageOf(string visit) => visit.LastIndexOf('.') is > 0 and var dot && int.TryParse(visit[(dot + 1)..], out _)
        ? visit[..dot]
        : visit;

    private static void Curves(RunView run, string? stage, string figure)
    {
        var drawn = false;
        foreach (var visit in run.Visits.Where(visit => stage is null || visit == stage))
        {
            var points = run.Metrics.Where(line => line.Stage == visit).Select(line => (X: (double)line.Step, Y: Of(line, figure)))
                .Where(point => point.Y is not null).Select(point => (point.X, point.Y!.Value)).ToList();
            if (points.Count < 2)
                continue;
            drawn = true;
            Console.WriteLine($"\n{visit}: {figure}");
            foreach (var line in TextChart.Draw(points, CurveWidth))
                Console.WriteLine(line);
        }
        var known = run.Metrics.Select(line => line.Name).Where(name => !name.StartsWith(MetricLine.After, StringComparison.Ordinal))
            .Concat(["rate", "gradientNorm", "tokensPerSecond"]).Distinct().ToList();
        if (!drawn && run.Metrics.Count > 0 && !known.Contains(figure))
            throw new InputException($"The run has no figure '{figure}'. {Nearest.Hint(figure, known, "figures")}.");
        Console.WriteLine();
    }

    private static double? Of(MetricLine line, string figure) => (figure, line.Name == MetricLine.Loss) switch
    {
        ("rate", true) => line.Rate,
        ("gradientNorm", true) => line.GradientNorm,
        ("tokensPerSecond", true) => line.TokensPerSecond,
        _ => line.Name == figure ? line.Value : null,
    };

    private static Table? Abilities(IReadOnlyList<StageRecord> done)
    {
        var names = done.SelectMany(record => record.Abilities.Values.Keys).Distinct().ToList();
        if (names.Count == 0)
            return null;
        var table = new Table().Title("Abilities after each stage").AddColumn("after");
        foreach (var name in names)
            table.AddColumn(new TableColumn(Markup.Escape(name)).RightAligned());
        foreach (var record in done)
            table.AddRow([
                Markup.Escape(record.Abilities.After),
                .. names.Select(name => record.Abilities.Values.TryGetValue(name, out var value) ? $"{value:G4}" : ""),
            ]);
        return table;
    }

    private static Table Figures(RunView first, RunView second)
    {
        var table = new Table().Title("Figures").AddColumn("stage").AddColumn("figure");
        foreach (var name in new[] { "A", "B", "B - A" })
            table.AddColumn(new TableColumn(name).RightAligned());
        foreach (var visit in first.Visits.Union(second.Visits))
        {
            var (one, other) = (FiguresOf(first, visit), FiguresOf(second, visit));
            foreach (var name in one.Keys.Union(other.Keys))
            {
                var (a, b) = (one.GetValueOrDefault(name, double.NaN), other.GetValueOrDefault(name, double.NaN));
                table.AddRow(
                    Markup.Escape(visit),
                    Markup.Escape(name),
                    $"{a:G6}",
                    $"{b:G6}",
                    double.IsFinite(b - a) ? $"{b - a:+0.####;-0.####;0}" : "");
            }
        }
        return table;
    }

    private static Dictionary<string, double> FiguresOf(RunView run, string visit)
    {
        var values = new Dictionary<string, double>(StringComparer.Ordinal);
        if (run.LastStep(visit) is { } last)
            (values["steps"], values[MetricLine.Loss]) = (last.Step, last.Value);
        if (run.Metrics.LastOrDefault(line => line.Stage == visit && line.Name == EvaluateSpec.HeldOutLoss) is { } heldOut)
            values[heldOut.Name] = heldOut.Value;
        if (run.Done.FirstOrDefault(record => record.Report?.Name == visit) is not { Report: { } report } done)
            return values;
        values[MetricLine.Loss] = report.LastLoss;
        values["seconds"] = Math.Round(report.Seconds, 1);
        values["trained parameters"] = report.TrainableParameters;
        foreach (var (name, value) in done.Abilities.Values)
            values[MetricLine.After + "it, " + name] = value;
        return values;
    }

    private static string Short(double? value) => value is { } number ? Runs.Reports.Figures.Short(number) : "";

    private static string Local(DateTimeOffset time) => $"{time.ToLocalTime():yyyy-MM-dd HH:mm}";
}
