using Polymath.Models;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// A loss of single answers that are good or bad, log π summed over an answer's tokens; counted by row. The baseline is the mean log-ratio
/// of the step's prompts with other rows' answers, computed before the first pass, without a gradient.
/// </summary>
/// <param name="loss">The loss.</param>
/// <param name="beta">What log-ratios are multiplied by in the figures.</param>
/// <param name="hasBaseline">Whether the loss subtracts the baseline.</param>
public sealed class JudgedAnswers(UnpairedLoss loss, double beta, bool hasBaseline) : Objective
{
    private const string Mean = "mean", Count = "count";

    private double baseline;
    private RunningMean running;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double> Memory
    {
        get => loss is BinaryLoss ? new Dictionary<string, double> { [Mean] = running.Mean, [Count] = running.Count } : base.Memory;
        set => running = new RunningMean(value.GetValueOrDefault(Mean), value.GetValueOrDefault(Count));
    }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = ["good reward", "bad reward", "baseline"];

    /// <inheritdoc/>
    public override void Begin(LanguageModel model, IReadOnlyList<IReadOnlyList<Item>> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        if (hasBaseline) baseline = Baseline(model, parts);
        if (loss is not BinaryLoss) return;
        var rewards = Rewards(model, parts);
        running = running.With(rewards.Sum(), rewards.Count);
        baseline = running.Mean;
    }

    // βr of the step's own answers.
    private List<double> Rewards(LanguageModel model, IReadOnlyList<IReadOnlyList<Item>> parts)
    {
        using var frozen = no_grad();
        var rewards = new List<double>();
        foreach (var part in parts)
        {
            using var scope = NewDisposeScope();
            var items = part.Cast<JudgedItem>().ToList();
            using var batch = model.Lay(items.ConvertAll(item => item.Rows[0]));
            var sums = RankedPairs.RowSums(model, batch).cpu().data<float>().ToArray();
            rewards.AddRange(items.Select((item, i) => beta * (sums[i] - item.Reference[0])));
        }
        return rewards;
    }

    private static double Baseline(LanguageModel model, IReadOnlyList<IReadOnlyList<Item>> parts)
    {
        ArgumentNullException.ThrowIfNull(model);
        using var frozen = no_grad();
        double sum = 0, rows = 0;
        foreach (var part in parts)
        {
            using var scope = NewDisposeScope();
            var items = part.Cast<JudgedItem>().ToList();
            using var batch = model.Lay(items.ConvertAll(item => item.Mismatched));
            var sums = RankedPairs.RowSums(model, batch).cpu().data<float>().ToArray();
            sum += items.Select((item, i) => (double)sums[i] - item.Reference[1]).Sum();
            rows += items.Count;
        }
        return Math.Max(0, sum / rows);
    }

    /// <inheritdoc/>
    public override Score Evaluate(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<Item> items,
        StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(items);
        var judged = items.Cast<JudgedItem>().ToList();
        var policy = RankedPairs.RowSums(model, batch);
        var ratios = policy - tensor(judged.ConvertAll(item => item.Reference[0]).ToArray(), device: policy.device);
        var good = tensor(judged.ConvertAll(item => item.Good).ToArray(), device: policy.device);
        var sum = loss.Sum(ratios, good, baseline, step.Rows) * step.Rows;
        var rewards = (ratios.detach() * beta).cpu().data<float>().ToArray();
        double Sum(bool side) => judged.Select((item, i) => item.Good == side ? rewards[i] : 0.0).Sum();
        return new Score(sum, items.Count, new Dictionary<string, double>
        {
            ["good reward"] = Sum(true),
            ["bad reward"] = Sum(false),
            ["baseline"] = baseline * items.Count,
        });
    }
}
