using Polymath.Runs.Reports;
using Spectre.Console;

namespace Polymath.Cli;

/// <summary>The report as tables on the console.</summary>
internal static class Summary
{
    private const int PipeWidth = 150;

    internal static void Write(RunReport report, string folder)
    {
        // A pipe has no width, so tables must not be folded for it.
        if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = PipeWidth;
        var stages = new Table().Title("Stages").AddColumn("stage").AddColumn("method");
        foreach (var name in new[] { "steps", "seconds", "tokens/s", "trained", "of", "first loss", "last loss", "held out" })
            stages.AddColumn(new TableColumn(name).RightAligned());
        foreach (var stage in report.Stages)
            stages.AddRow(Markup.Escape(stage.Name), Markup.Escape(stage.Method), $"{stage.Steps:N0}", $"{stage.Seconds:F0}",
                $"{stage.TokensPerSecond:N0}", $"{stage.TrainableParameters:N0}", $"{stage.TotalParameters:N0}", $"{stage.FirstLoss:F3}",
                $"{stage.LastLoss:F3}", stage.HeldOutLoss is { } heldOut ? $"{heldOut:F3}" : "");
        AnsiConsole.Write(stages);
        var names = report.Abilities.SelectMany(row => row.Values.Keys).Distinct().ToList();
        if (names.Count > 0)
        {
            var abilities = new Table().Title("Abilities after each stage").AddColumn("after");
            foreach (var name in names) abilities.AddColumn(new TableColumn(Markup.Escape(name)).RightAligned());
            foreach (var row in report.Abilities)
                abilities.AddRow([
                    Markup.Escape(row.After + (report.Stages.Any(stage => stage.Unmerged && stage.Name == row.After) ? " *" : "")),
                    .. names.Select(name => row.Values.TryGetValue(name, out var value) ? $"{value:G4}" : ""),
                ]);
            AnsiConsole.Write(abilities);
            foreach (var stage in report.Stages.Where(stage => stage.Unmerged))
                Console.WriteLine($"* with the delta of {stage.Name}, which is kept apart: later stages start from the model without it. "
                    + $"To use it: {stage.Use()}");
        }
        List<string> beside =
        [
            .. report.UnigramPerplexity is { } unigram ? [$"unigram perplexity {unigram:F1}"] : Array.Empty<string>(),
            .. (report.Baselines ?? new Dictionary<string, double>()).Select(pair => $"{pair.Key} {pair.Value:P1}"),
        ];
        if (beside.Count > 0) Console.WriteLine($"Baselines: {string.Join("; ", beside)}");
        foreach (var sample in report.Samples.Reverse()
            .Where(sample => sample.Prompt.Length > 0).DistinctBy(sample => sample.Prompt).Take(3))
            Console.WriteLine($"\n{sample.Prompt}\n{sample.Answer}");
        Console.WriteLine("\nWhat to try next:");
        foreach (var next in report.Next) Console.WriteLine($"  - {next}");
        // With a prompt's labels, the model can still generate; with a head over labels, it cannot.
        var labels = report.Stages.Count > 0 && report.Stages[^1] is { Kind: "task" } last
            && !last.Method.StartsWith("prompt", StringComparison.Ordinal);
        Console.WriteLine($"\nReport: {Path.Combine(folder, "report.html")}    "
            + $"{(labels ? $"Use: polymath classify {folder} --text TEXT" : $"Talk: polymath chat {folder}")}");
    }
}
