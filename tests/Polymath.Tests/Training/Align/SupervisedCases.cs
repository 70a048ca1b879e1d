using System.Text.Json.Nodes;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Distillation;
using Polymath.Training.Objectives.Scoring;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>Finetuning, reward models and distillation.</summary>
internal static class SupervisedCases
{
    public static TokenRow Row(JsonObject row) => new(
        AlignCase.Ids(row["tokens"]),
        [.. row["targets"]!.AsArray().Select(target => target!.GetValue<bool>() ? 1f : 0f)],
        "case");

    public static CaseNumbers Sft(AlignCase from, AlignModels models)
    {
        var rows = from.Rows.Select(Row).ToList();
        int[] parts = from.Settings["micro_batches"] is { } given ? AlignCase.Ids(given) : [rows.Count];
        double tokens = rows.Sum(row => row.Targets);
        if (from.Has("num_items_in_batch")) Assert.Equal(from.Number("num_items_in_batch"), tokens);
        TokenLoss formula = from.Text("loss_type") == "dft" ? new DynamicFineTuning() : new TokenLikelihood();
        var losses = new List<Tensor>();
        var first = 0;
        foreach (var part in parts)
        {
            losses.Add(formula.Sum(models.Scores(models.Policy, rows.GetRange(first, part)).Each, tokens));
            first += part;
        }
        var numbers = new CaseNumbers { Loss = stack(losses).sum(), Weights = CaseNumbers.All(models.Policy) };
        if (parts.Length > 1) numbers.Others["micro_batch_losses"] = CaseNumbers.Doubles(stack(losses));
        using var frozen = no_grad();
        var whole = models.Lay(models.Policy, [.. rows.Select(row => row with { Learn = [.. row.Ids.Select(_ => 1f)] })]);
        numbers.Put("token_logps_of_every_token_but_the_first", models.Policy.LogProbabilities(whole));
        numbers.Measure("entropy", TokenLogits.Entropies(Last(models, rows.GetRange(first - parts[^1], parts[^1]))));
        return numbers;
    }

    // The figures are those of the last micro-batch.
    private static Tensor Last(AlignModels models, List<TokenRow> rows) =>
        AlignModels.Logits(models.Policy, models.Lay(models.Policy, rows));

    public static CaseNumbers Reward(AlignCase from, AlignModels models)
    {
        var model = models.Of("reward");
        var batch = models.Lay(model, [.. from.Rows.SelectMany(row => new[] { "chosen", "rejected" }.Select(name =>
        {
            var ids = AlignCase.Ids(row[name]);
            return new TokenRow(ids, new float[ids.Length], "case");
        }))]);
        var (chosen, rejected) = PairCases.Halves(model.Labels!.Scores(model.Hidden(batch), batch).squeeze(1));
        var margins = from.Rows[0].ContainsKey("margin")
            ? AlignCase.Floats(from.Rows.Select(row => AlignCase.NumberOf(row["margin"])))
            : null;
        var each = new BradleyTerry(from.Number("center_rewards_coefficient")).Each(chosen, rejected, margins);
        var numbers = new CaseNumbers { Loss = each.sum() / from.Rows.Count, Weights = CaseNumbers.All(model) };
        numbers.Put("chosen_scores", chosen);
        numbers.Put("rejected_scores", rejected);
        var all = CaseNumbers.Doubles(cat([chosen, rejected]));
        (numbers.Metrics["min_reward"], numbers.Metrics["mean_reward"]) = (all.Min(), all.Average());
        numbers.Metrics["max_reward"] = all.Max();
        numbers.Measure("accuracy", chosen.gt(rejected));
        numbers.Measure("margin", chosen - rejected);
        return numbers;
    }

    public static CaseNumbers Gkd(AlignCase from, AlignModels models)
    {
        var rows = from.Rows.Select(row => AlignModels.Row(row)).ToList();
        var (batch, frozen) = (models.Lay(models.Policy, rows), models.Lay(models.Reference, rows));
        double beta = from.Number("beta"), temperature = from.Number("loss_temperature", 1);
        DistillationLoss loss = beta switch
        {
            0 => new ForwardKlDistillation(temperature),
            1 => new ReverseKlDistillation(temperature),
            _ => new JensenShannonDistillation(beta, temperature),
        };
        var each = loss.Each(AlignModels.Logits(models.Policy, batch), AlignModels.Logits(models.Reference, frozen));
        var layout = RowLayout.Of(batch);
        var numbers = new CaseNumbers
        {
            Loss = each.sum() / (from.Has("num_items_in_batch") ? from.Number("num_items_in_batch") : layout.Tokens),
            Weights = CaseNumbers.All(models.Policy),
        };
        numbers.Put("loss_mean_over_row", layout.Means(each));
        return numbers;
    }
}
