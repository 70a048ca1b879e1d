using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>KTO and BCO: single answers that are good or bad.</summary>
internal static class SingleCases
{
    private sealed record Singles(TokenValues Policy, TokenValues Reference, Tensor Good)
    {
        public Tensor Ratios { get; } = Policy.Sums() - Reference.Sums();

        public long[] Places(bool good) => [.. Good.data<bool>().Select((value, row) => (value, row)).Where(item => item.value == good)
            .Select(item => (long)item.row)];

        public Tensor Half(Tensor rows, bool good) => rows.index_select(0, tensor(Places(good)));
    }

    private static Singles Read(AlignCase from, AlignModels models)
    {
        var rows = from.Rows.Select(row => AlignModels.Row(row)).ToList();
        return new(
            models.Scores(models.Policy, rows),
            models.Frozen(models.Reference, rows),
            tensor(from.Rows.Select(row => row["label"]!.GetValue<bool>()).ToArray()));
    }

    public static CaseNumbers Kto(AlignCase from, AlignModels models)
    {
        var singles = Read(from, models);
        var beta = from.Number("beta");
        double good = from.Number("desirable_weight", 1), bad = from.Number("undesirable_weight", 1);
        UnpairedLoss loss = from.Text("loss_type") == "kto" ? new KahnemanTverskyLoss(beta, good, bad)
            : new UnpairedZeroLoss(beta, good, bad);
        (TokenValues Policy, TokenValues Reference)? mismatched = null;
        var shift = 0.0;
        if (loss is KahnemanTverskyLoss)
        {
            var rows = Mismatched(from, models);
            (mismatched, shift) = (rows, KahnemanTverskyLoss.Baseline(rows.Policy.Sums() - rows.Reference.Sums()));
        }
        var numbers = new CaseNumbers
        {
            Loss = loss.Sum(singles.Ratios, singles.Good, shift, from.Rows.Count),
            Weights = CaseNumbers.All(models.Policy),
        };
        if (mismatched is { } given)
        {
            numbers.Put("kl_logps", given.Policy.Sums());
            numbers.Put("kl_reference_logps", given.Reference.Sums());
        }
        numbers.Others["kl"] = [shift];
        numbers.Metrics["kl"] = shift;
        numbers.Put("logps", singles.Policy.Sums());
        numbers.Put("reference_logps", singles.Reference.Sums());
        numbers.Put("logps_mean", singles.Policy.Means());
        var weights = where(singles.Good, full(from.Rows.Count, good), full(from.Rows.Count, bad));
        var each = loss.Each(singles.Ratios, singles.Good, shift) / weights;
        foreach (var (name, half) in new[] { ("chosen", true), ("rejected", false) })
        {
            numbers.Rows[$"{name}_index"] = [.. singles.Places(half).Select(place => (double)place)];
            numbers.Put($"{name}_rewards", singles.Half(singles.Ratios * beta, half));
            numbers.Put($"{name}_losses", singles.Half(each, half));
            numbers.Measure($"rewards/{name}", singles.Half(singles.Ratios * beta, half));
            numbers.Measure($"logps/{name}", singles.Half(singles.Policy.Sums(), half));
        }
        numbers.Metrics["rewards/margins"] = numbers.Metrics["rewards/chosen"] - numbers.Metrics["rewards/rejected"];
        using var frozen = no_grad();
        var batch = models.Lay(models.Policy, [.. from.Rows.Select(row => AlignModels.Row(row))]);
        numbers.Measure("entropy", TokenLogits.Entropies(AlignModels.Logits(models.Policy, batch)));
        return numbers;
    }

    private static (TokenValues Policy, TokenValues Reference) Mismatched(AlignCase from, AlignModels models)
    {
        var rows = AlignCase.Objects(from.Json["kl_rows"]!).Select(row => AlignModels.Row(row)).ToList();
        return (models.Frozen(models.Policy, rows), models.Frozen(models.Reference, rows));
    }

    public static CaseNumbers Bco(AlignCase from, AlignModels models)
    {
        var singles = Read(from, models);
        var beta = from.Number("beta");
        var rewards = singles.Ratios * beta;
        var running = new RunningMean();
        foreach (var earlier in AlignCase.Objects(from.Json["earlier_batches"]!))
        {
            double[] seen = [.. AlignCase.Numbers(earlier["chosen_rewards"]), .. AlignCase.Numbers(earlier["rejected_rewards"])];
            running = running.With(seen.Sum(), seen.Length);
            Assert.Equal(AlignCase.NumberOf(earlier["delta"]), running.Mean, 1e-5);
        }
        running = running.With(CaseNumbers.Doubles(rewards).Sum(), from.Rows.Count);
        var loss = new BinaryLoss(beta);
        var numbers = new CaseNumbers
        {
            Loss = loss.Sum(singles.Ratios, singles.Good, running.Mean, from.Rows.Count),
            Weights = CaseNumbers.All(models.Policy),
        };
        numbers.Others["delta"] = [running.Mean];
        numbers.Metrics["delta"] = running.Mean;
        var each = loss.Each(singles.Ratios, singles.Good, running.Mean);
        numbers.Rows["losses_chosen_then_rejected"] =
            [.. CaseNumbers.Doubles(singles.Half(each, true)), .. CaseNumbers.Doubles(singles.Half(each, false))];
        foreach (var (name, half) in new[] { ("chosen", true), ("rejected", false) })
        {
            numbers.Put($"{name}_logps", singles.Half(singles.Policy.Sums(), half));
            numbers.Put($"reference_{name}_logps", singles.Half(singles.Reference.Sums(), half));
            numbers.Put($"{name}_rewards", singles.Half(rewards, half));
            numbers.Metrics[$"count/{name}"] = singles.Places(half).Length;
            numbers.Metrics[$"rewards/{name}_sum"] = numbers.Rows[$"{name}_rewards"].Sum();
            numbers.Metrics[$"logps/{name}_sum"] = numbers.Rows[$"{name}_logps"].Sum();
        }
        return numbers;
    }
}
