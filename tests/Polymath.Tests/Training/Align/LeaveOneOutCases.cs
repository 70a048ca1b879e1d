using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>RLOO, built from a case's settings.</summary>
internal static class LeaveOneOutCases
{
    public static CaseNumbers Rloo(AlignCase from, AlignModels models)
    {
        // A row that was cut off has no token where such rows are masked.
        var rows = from.Rows.Select((row, i) =>
        {
            var made = AlignModels.Row(row);
            return from.PerRow("old_logps")[i].Length == 0 ? made with { Learn = new float[made.Length] } : made;
        }).ToList();
        var batch = models.Lay(models.Policy, rows);
        var temperature = from.Number("temperature", 1);
        var logits = AlignModels.Logits(models.Policy, batch);
        var policy = new TokenValues(TokenLogits.LogProbabilities(logits, batch.Targets, temperature), RowLayout.Of(batch));
        var old = new TokenValues(from.Values("old_logps"), policy.Rows);
        var table = new RewardTable(
            [.. from.Rows.Select(row => AlignCase.Numbers(row["rewards"]))],
            from.Settings["reward_weights"] is { } weights ? AlignCase.Numbers(weights) : null);
        int[] groups = [.. from.Rows.Select((_, i) => i / (int)from.Number("num_generations"))];
        var rewards = table.Totals();
        if (from.Settings["reward_clip_range"] is { } range)
        {
            var ends = AlignCase.Numbers(range);
            rewards = [.. rewards.Select(reward => double.IsNaN(reward) ? reward : Math.Clamp(reward, ends[0], ends[1]))];
        }
        var beta = from.Number("beta");
        Tensor? kl = null, reference = null;
        if (beta != 0)
        {
            using var frozen = no_grad();
            var other = models.Lay(models.Reference, rows);
            reference = TokenLogits.LogProbabilities(AlignModels.Logits(models.Reference, other), other.Targets, temperature);
            kl = KlEstimate.Each(KlKind.K1, old.Each, reference);
            var sums = CaseNumbers.Doubles(policy.Rows.Sums(kl));
            rewards = [.. rewards.Select((reward, row) => reward - beta * sums[row])];
        }
        var advantages = GroupAdvantages.LeaveOneOut(rewards, groups, from.Flag("normalize_advantages"));
        var given = AlignCase.Floats(advantages);
        var loss = new LeaveOneOutLoss(from.Number("epsilon"), from.Number("epsilon_high", from.Number("epsilon")));
        var numbers = new CaseNumbers
        {
            Loss = loss.Each(policy, old.Each, given).sum() / from.Rows.Count,
            Weights = CaseNumbers.All(models.Policy),
        };
        numbers.Rows["advantages"] = advantages;
        if (kl is not null)
        {
            numbers.Put("reference_logps", reference!);
            numbers.Put("kl_sum", policy.Rows.Sums(kl));
            numbers.Measure("kl", kl);
        }
        Report(numbers, policy, old);
        ReportRewards(numbers, table, groups);
        numbers.Measure("entropy", TokenLogits.Entropies(logits, temperature));
        Clips(numbers, loss, LeaveOneOutLoss.Ratios(policy, old.Each), given);
        return numbers;
    }

    private static void Report(CaseNumbers numbers, TokenValues policy, TokenValues old)
    {
        numbers.Given.Add("old_logps");
        numbers.Put("logps_sum", policy.Sums());
        numbers.Rows["logps_mean"] = [.. CaseNumbers.Doubles(policy.Means()).Select((mean, row) =>
            policy.Rows.Lengths[row] == 0 ? double.NaN : mean)];
        numbers.Put("old_logps_sum", old.Sums());
    }

    private static void ReportRewards(CaseNumbers numbers, RewardTable table, int[] groups)
    {
        for (var i = 0; i < table.Functions; i++)
        {
            var spread = Spread.Of(table.Of(i));
            (numbers.Metrics[$"rewards/reward_{i}/mean"], numbers.Metrics[$"rewards/reward_{i}/std"]) = (spread.Mean, spread.Deviation);
        }
        var totals = table.Totals();
        var total = Spread.Of(totals);
        (numbers.Metrics["reward"], numbers.Metrics["reward_std"]) = (total.Mean, total.Deviation);
        numbers.Metrics["frac_reward_zero_std"] = GroupAdvantages.WithoutSpread(totals, groups);
    }

    private static void Clips(CaseNumbers numbers, LeaveOneOutLoss loss, Tensor ratios, Tensor advantages)
    {
        numbers.Put("ratio", ratios);
        var (below, above) = new ClippedLoss(loss.Low, loss.High).Clipped(ratios, advantages);
        numbers.Measure("clip_ratio/low_mean", below);
        numbers.Measure("clip_ratio/high_mean", above);
        numbers.Measure("clip_ratio/region_mean", below.logical_or(above));
        numbers.Measure("clip_ratio/low_min", below.min());
        numbers.Measure("clip_ratio/high_max", above.max());
    }
}
