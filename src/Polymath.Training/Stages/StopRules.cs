using Polymath.Recipes;
using Polymath.Training.Checkpoints;

namespace Polymath.Training.Stages;

/// <summary>The rules by which a stage ends because a figure of its steps has gone wrong.</summary>
/// <param name="stage">The stage.</param>
internal sealed class StopRules(StageSpec stage)
{
    private readonly List<StopRule> rules = [.. (stage.Stop ?? []).Select(rule => StopRule.Parse(rule)!)];

    /// <summary>For each rule, the steps in a row at which it held, after one more step.</summary>
    /// <param name="before">The same before the step; null for none.</param>
    /// <param name="report">The step.</param>
    /// <exception cref="InputException">A rule names a figure that the stage's steps do not have.</exception>
    internal IReadOnlyList<int>? After(IReadOnlyList<int>? before, StepReport report) => rules.Count == 0
        ? null
        : [.. rules.Select((rule, i) => rule.Holds(ValueOf(rule, report)) ? Had(before, i) + 1 : 0)];

    private static int Had(IReadOnlyList<int>? breaches, int rule) => rule < breaches?.Count ? breaches[rule] : 0;

    /// <summary>The rule by which the stage ends; null where it goes on.</summary>
    /// <param name="breaches">For each rule, the steps in a row at which it held.</param>
    internal StopRule? Broken(IReadOnlyList<int>? breaches) =>
        rules.Where((rule, i) => Had(breaches, i) >= rule.Steps).FirstOrDefault();

    /// <summary>The last checkpoint from before a rule began to hold.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="step">The step at which the stage ended.</param>
    /// <param name="every">The steps between checkpoints.</param>
    /// <param name="saves">The checkpoints.</param>
    /// <exception cref="RunFailedException">None is kept.</exception>
    internal int Healthy(
        StopRule rule,
        int step,
        int every,
        Checkpoint saves)
    {
        // One that a stopped run has left besides does not count, so that an uninterrupted run ends with the same weights.
        for (var before = (step - rule.Steps) / every * every; before > 0; before -= every)
            if (saves.Has(before)) return before;
        throw new RunFailedException($"Stage {stage.Name} ended at step {step}, as {rule.Figure} was {(rule.Above ? "above" : "below")} "
            + $"{rule.Bound} for {rule.Steps} steps, and no checkpoint from before is kept. Save more often (checkpoint.every), keep more "
            + "(checkpoint.keep), or lower optimizer.rate, and start the stage again: remove its folder and give the same command.");
    }

    private double ValueOf(StopRule rule, StepReport report)
    {
        if (rule.Figure == "loss") return report.Loss;
        if (rule.Figure == "gradientNorm") return report.GradientNorm;
        return report.Metrics.TryGetValue(rule.Figure, out var value)
            ? value
            : throw new InputException($"Stage {stage.Name}: stop names the figure '{rule.Figure}', and its steps have "
                + $"{string.Join(", ", report.Metrics.Keys.Prepend("gradientNorm").Prepend("loss"))}.");
    }
}
