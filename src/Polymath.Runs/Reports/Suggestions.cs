using Polymath.Recipes;

namespace Polymath.Runs.Reports;

/// <summary>
/// Suggestions for the next run, derived from a report's numbers: each sentence says what was found and which setting to change.
/// </summary>
public static class Suggestions
{
    /// <summary>The relative change of an ability that is too large for chance.</summary>
    private const double Notable = 0.05;

    /// <summary>The relative fall between the last two tenths of a stage's steps that shows that the stage ended too early.</summary>
    private const double StillFalling = 0.015;

    private const string Align = "align";

    /// <summary>The sentences, the most important first; at least one.</summary>
    /// <param name="report">The report.</param>
    /// <param name="higherIsBetter">For each ability, whether a higher value is better; other abilities are ignored.</param>
    /// <param name="metrics">The figures measured during the run; without them it is unknown whether a loss was still falling.</param>
    public static IReadOnlyList<string> For(
        RunReport report, IReadOnlyDictionary<string, bool> higherIsBetter, IReadOnlyList<MetricLine>? metrics = null)
    {
        ArgumentNullException.ThrowIfNull(report);
        ArgumentNullException.ThrowIfNull(higherIsBetter);
        var view = new ReportView(report, metrics ?? [], higherIsBetter);
        List<string> sentences =
        [
            .. report.Stages.Select(Unlearned).OfType<string>(),
            .. Losses(view),
            .. Behind(view),
            .. Memorized(view),
            .. Unfinished(view),
        ];
        if (sentences.Count > 0) return sentences;
        return report.Stages.Count == 0
            ? ["No stage has run yet. Run the recipe to its end for advice."]
            : ["There is nothing to correct: no ability was lost during the run and no baseline is better. "
                + "Change the seed to see how far the figures vary by chance, then try a larger model."];
    }

    private static string? Unlearned(StageReport stage)
    {
        if (!double.IsFinite(stage.LastLoss))
            return $"The loss of {stage.Name} is not a number at its end. Lower optimizer.rate to a third, or lengthen schedule.warmup.";
        // Each round of alignment has new pairs and a new reference, so losses of different rounds are not comparable.
        return stage.Kind != Align && stage.Steps > 1 && stage.LastLoss >= stage.FirstLoss
            ? $"The loss of {stage.Name} did not fall ({Figures.Short(stage.FirstLoss)} to {Figures.Short(stage.LastLoss)}). "
                + "Change optimizer.rate by a factor of 3, and look at a few rows of its data."
            : null;
    }

    /// <summary>For each ability, the stage after which most of it was lost and not regained.</summary>
    private static IEnumerable<string> Losses(ReportView view)
    {
        foreach (var ability in view.Abilities)
        {
            // A delta that is kept apart has no effect on later stages, so it neither causes a loss nor can be lost.
            var seen = view.Report.Abilities.Where(row => row.Values.TryGetValue(ability, out var value) && double.IsFinite(value)
                && !view.Report.Stages.Any(stage => stage.Unmerged && stage.Name == row.After)).ToList();
            if (seen.Count < 2) continue;
            var last = seen[^1].Values[ability];
            // An untrained model's answers are noise, which is varied. Less variety after the first stage is not a loss.
            var first = Varied(ability) ? 2 : 1;
            var falls = Enumerable.Range(first, Math.Max(0, seen.Count - first))
                .Select(i => (Before: seen[i - 1].Values[ability], Now: seen[i].Values[ability], seen[i].After))
                .Where(fall => Lost(view, ability, fall.Before, fall.Now) && Lost(view, ability, fall.Before, last)).ToList();
            if (falls.Count == 0) continue;
            var (before, now, after) = falls.MaxBy(fall => Relative(fall.Before, fall.Now));
            yield return $"{ability} went from {Figures.Short(before)} to {Figures.Short(now)} after {after}. "
                + $"{Remedy(view, ability, after)}";
        }
    }

    private static string Remedy(ReportView view, string ability, string after)
    {
        var stage = view.Report.Stages.FirstOrDefault(stage => stage.Name == after);
        if (stage?.Kind == Align)
            return Varied(ability)
                ? "Answers become similar: raise beta, or take fewer rollout rounds."
                : "Raise beta, give that ability a reward of its own, or lower the rate.";
        var mix = $"Mix the data it was learned from into {after}";
        return stage is null || stage.TrainableParameters >= stage.TotalParameters
            ? $"{mix}, lower its optimizer.rate, or train a small delta instead (method: lora)."
            : $"{mix}, lower its optimizer.rate, or make its delta smaller (a lower r, fewer targetModules).";
    }

    private static IEnumerable<string> Behind(ReportView view)
    {
        foreach (var ability in view.Abilities)
        {
            var values = view.Values(ability).Where(double.IsFinite).ToList();
            // An ability that was better once and was then lost has already been reported.
            var behind = view.BaselinesOf(ability)
                .Where(line => double.IsFinite(line.Value) && values.All(value => view.Compare(ability, line.Value, value) < 0)).ToList();
            if (values.Count == 0 || behind.Count == 0) continue;
            // The best of the baselines that the model never reached.
            var (name, mark) = behind.Aggregate((best, line) => view.Compare(ability, best.Value, line.Value) > 0 ? line : best);
            var reached = values.Aggregate((best, value) => view.Compare(ability, best, value) > 0 ? value : best);
            var delta = view.Report.Stages.Any(stage => stage.Method.Contains("lora", StringComparison.OrdinalIgnoreCase));
            yield return $"{ability} ({Figures.Short(reached)} at best) is behind {name} ({Figures.Short(mark)}). "
                + $"Give the stage that teaches it more steps{(delta ? " or a higher r" : "")}, or start from a larger model.";
        }
    }

    private static List<(int Step, double Value)> HeldOut(ReportView view, StageReport stage) =>
        [.. view.Metrics.Where(point => point.Stage == stage.Name && point.Name == EvaluateSpec.HeldOutLoss && double.IsFinite(point.Value))
            .OrderBy(point => point.Step).Select(point => (point.Step, point.Value))];

    // Rows that it did not learn from get worse while the others get better.
    private static IEnumerable<string> Memorized(ReportView view)
    {
        foreach (var stage in view.Report.Stages)
        {
            var heldOut = HeldOut(view, stage);
            if (heldOut.Count < 2) continue;
            var (best, last) = (heldOut.MinBy(point => point.Value), heldOut[^1]);
            if (last.Value - best.Value <= Notable * Math.Abs(best.Value)) continue;
            yield return $"{stage.Name} learns its rows by heart: the held-out loss was best after step {best.Step} "
                + $"({Figures.Short(best.Value)}) and is {Figures.Short(last.Value)} at the end. Stop there (checkpoint: {{best: "
                + $"{EvaluateSpec.HeldOutLoss}}}, evaluate: {{patience: 3}}), or give it more data.";
        }
    }

    private static IEnumerable<string> Unfinished(ReportView view)
    {
        foreach (var stage in view.Report.Stages.Where(stage => stage.Kind != Align))
        {
            // Where rows are held out, only their loss says whether more steps would help.
            var heldOut = HeldOut(view, stage);
            if (heldOut.Count > 1 && heldOut[^2].Value - heldOut[^1].Value <= StillFalling * Math.Abs(heldOut[^2].Value)) continue;
            var losses = view.Metrics.Where(point => point.Stage == stage.Name && point.Name == "loss" && double.IsFinite(point.Value))
                .OrderBy(point => point.Step).Select(point => point.Value).ToList();
            var tenth = losses.Count / 10;
            // With fewer than five steps per tenth, the result is mostly chance.
            if (tenth < 5) continue;
            double before = losses[^(2 * tenth)..^tenth].Average(), now = losses[^tenth..].Average();
            if (before - now <= StillFalling * Math.Abs(before)) continue;
            yield return $"The loss of {stage.Name} was still falling at its end ({Figures.Short(before)} to {Figures.Short(now)} over the "
                + $"last tenths of its steps). Double its steps (now {stage.Steps}).";
        }
    }

    private static bool Varied(string ability) => ability.StartsWith("distinct", StringComparison.OrdinalIgnoreCase);

    private static bool Lost(ReportView view, string ability, double before, double now) =>
        view.Compare(ability, before, now) < 0 && Relative(before, now) > Notable;

    private static double Relative(double before, double now) => Math.Abs(now - before) / Math.Max(Math.Abs(before), 1e-12);
}
