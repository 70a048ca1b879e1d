using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>GRPO and its kin, built from a case's settings.</summary>
internal sealed class GroupCases
{
    private readonly AlignCase from;
    private readonly AlignModels models;
    private readonly CaseNumbers numbers;
    private readonly RowLayout all, rows;
    private readonly Tensor logits, counted, advantages;
    private readonly TokenValues policy;
    private readonly PolicyTokens tokens;
    private readonly Tensor entropies;
    private readonly List<Tensor> losses = [];

    private GroupCases(AlignCase from, AlignModels models)
    {
        (this.from, this.models) = (from, models);
        var batch = models.Lay(models.Policy, [.. from.Rows.Select(row => AlignModels.Row(row))]);
        all = RowLayout.Of(batch);
        logits = AlignModels.Logits(models.Policy, batch);
        policy = new TokenValues(TokenLogits.LogProbabilities(logits, batch.Targets, Temperature), all);
        bool[][] counts = [.. from.Rows.Select((row, at) => AlignCase.Ids(row["completion"]).Select((_, i) =>
            Counts(at) && (row["tool_mask"] is not { } mask || AlignCase.Ids(mask)[i] != 0)).ToArray())];
        rows = new RowLayout([.. counts.Select(row => row.Count(counts => counts))]);
        counted = tensor(counts.SelectMany(row => row).Index().Where(item => item.Item).Select(item => (long)item.Index).ToArray());
        entropies = TokenLogits.Entropies(logits, Temperature);
        var rewards = new RewardTable(
            [.. from.Rows.Select(row => AlignCase.Numbers(row["rewards"]))],
            from.Settings["reward_weights"] is { } weights ? AlignCase.Numbers(weights) : null);
        int[] groups = [.. from.Rows.Select((_, i) => i / (int)from.Number("num_generations"))];
        var values = from.Settings["multi_objective_aggregation"]?.ToString() == "normalize_then_sum"
            ? GroupAdvantages.OfEach(rewards, groups)
            : GroupAdvantages.Of(rewards, groups, from.Text("scale_rewards") switch
            {
                "group" => RewardScale.Group,
                "batch" => RewardScale.Step,
                _ => RewardScale.None,
            });
        advantages = AlignCase.Floats(values);
        tokens = PolicyTokens.OfRows(Take(policy.Each), Given("old_logps") is { } old ? Take(old).Each : null, advantages);
        var each = Losses();
        numbers = new CaseNumbers { Loss = Shares(each).sum() + Bonus(), Weights = CaseNumbers.All(models.Policy) };
        if (from.Has("entropy_coef")) numbers.Measure("policy_loss", Shares(each).sum());
        Report(rewards, groups, values);
    }

    public static CaseNumbers Grpo(AlignCase from, AlignModels models) => new GroupCases(from, models).numbers;

    private double Temperature => from.Number("temperature", 1);

    private double Low => from.Number("epsilon");

    private double High => from.Number("epsilon_high", Low);

    private int Parts => (int)from.Number("gradient_accumulation_steps", 1);

    private bool IsGeometric => from.Json["how"]!.ToString().Contains("GMPOTrainer", StringComparison.Ordinal);

    private TokenValues Take(Tensor each) => new(each.index_select(0, counted), rows);

    private Tensor? Given(string name) => from.Json["per_row"]![name] is null ? null : from.Values(name);

    private RatioLevel Level => from.Text("importance_sampling_level") switch
    {
        "token" => RatioLevel.Token,
        "sequence" => RatioLevel.Sequence,
        _ => RatioLevel.SequenceToken,
    };

    private PolicyLoss Formula => (IsGeometric ? "gmpo" : from.Text("loss_type")) switch
    {
        "gmpo" => new GeometricLoss(Low, High),
        "cispo" => new CappedWeightLoss(High, Level),
        "sapo" => new SoftGateLoss(from.Number("sapo_temperature_pos"), from.Number("sapo_temperature_neg"), Level),
        "vespo" => new GammaWeightLoss(
            from.Number("vespo_k_pos"),
            from.Number("vespo_lambda_pos"),
            from.Number("vespo_k_neg"),
            from.Number("vespo_lambda_neg")),
        _ => new ClippedLoss(Low, High, Level, from.Has("delta") ? from.Number("delta") : null),
    };

    private TokenAverage Average => (IsGeometric ? "gmpo" : from.Text("loss_type")) switch
    {
        "grpo" or "sapo" or "gmpo" => new RowMeans(),
        "dr_grpo" => new FixedLength((int)from.Number("max_completion_length")),
        "luspo" => new RowSums(),
        _ => new AllTokens(),
    };

    private Tensor Losses()
    {
        var each = Formula.Each(tokens);
        if (from.Has("off_policy_mask_threshold"))
            each = each * rows.Spread(OffPolicy());
        if (from.Number("top_entropy_quantile", 1) < 1) each = each * Kept();
        if (Correction() is { } correction) each = each * correction;
        return from.Number("beta") == 0 ? each : each + Kl() * from.Number("beta");
    }

    // A mean over the tokens of each micro-batch, whatever the loss is averaged over.
    private Tensor Bonus() => stack([.. Enumerable.Range(0, Parts).Select(part =>
    {
        var (own, layout) = Part(Take(entropies).Each, part);
        return new EntropyBonus(from.Number("entropy_coef")).Share(own, layout.Tokens * Parts);
    })]).sum();

    private Tensor OffPolicy() =>
        new OffPolicyMask(from.Number("off_policy_mask_threshold")).Rows(tokens.Policy, tokens.Old, advantages);

    private Tensor Kept()
    {
        var mask = new EntropyMask(from.Number("top_entropy_quantile"));
        var own = Take(entropies).Each;
        return EntropyMask.Tokens(own, mask.Threshold(own));
    }

    private SamplerCorrection? Bounds
    {
        get
        {
            if (from.Settings["vllm_importance_sampling_mode"]?.ToString() is not { } mode) return null;
            return new SamplerCorrection(
                mode.StartsWith("sequence", StringComparison.Ordinal),
                mode.EndsWith("mask", StringComparison.Ordinal) ? OutOfBounds.Mask : OutOfBounds.Truncate,
                from.Number("vllm_importance_sampling_clip_max"),
                from.Has("vllm_importance_sampling_clip_min") ? from.Number("vllm_importance_sampling_clip_min") : null);
        }
    }

    private Tensor? Correction() => Bounds?.Weights(tokens.Policy with { Each = tokens.Old }, Take(Given("engine_logps")!).Each);

    private Tensor ReferenceLogs()
    {
        using var frozen = no_grad();
        var batch = models.Lay(models.Reference, [.. from.Rows.Select(row => AlignModels.Row(row))]);
        return TokenLogits.LogProbabilities(AlignModels.Logits(models.Reference, batch), batch.Targets, Temperature);
    }

    private Tensor Kl()
    {
        var kl = KlEstimate.Each(KlKind.K3, tokens.Policy.Each, Take(ReferenceLogs()).Each);
        return from.Flag("use_bias_correction_kl") ? kl * tokens.Ratios(Level) : kl;
    }

    // The micro-batches' parts of the loss.
    private Tensor Shares(Tensor each)
    {
        losses.Clear();
        var size = rows.Rows / Parts;
        for (var part = 0; part < Parts; part++)
        {
            var (own, layout) = Part(each, part);
            var local = from.Text("loss_type") == "bnpo" ? layout.Tokens * Parts : rows.Tokens;
            losses.Add(Average.Share(own, layout, new StepCounts(size * Parts, local)));
        }
        return stack(losses);
    }

    private (Tensor Each, RowLayout Rows) Part(Tensor each, int part)
    {
        var size = rows.Rows / Parts;
        var layout = new RowLayout([.. rows.Lengths.Skip(part * size).Take(size)]);
        return (each.narrow(0, rows.Lengths.Take(part * size).Sum(), layout.Tokens), layout);
    }

    // The figures are those of the last micro-batch.
    private void Measure(string name, Tensor each, Func<Tensor, RowLayout, Tensor>? of = null)
    {
        var (own, layout) = Part(each.to(ScalarType.Float64), Parts - 1);
        numbers.Measure(name, of is null ? own : of(own, layout));
    }

    // A row that does not count is hidden from their model, so that its numbers mean nothing.
    private void Put(string name, Tensor each)
    {
        var values = CaseNumbers.Doubles(each);
        var ofRows = values.Length == all.Rows;
        long[] owners = [.. all.Owners.data<long>()];
        if (ofRows) owners = [.. Enumerable.Range(0, all.Rows)];
        numbers.Rows[name] = [.. values.Select((value, i) => Counts((int)owners[i]) ? value : CaseNumbers.Open)];
    }

    private bool Counts(int row) => from.Rows[row]["counted"]?.GetValue<bool>() != false;

    private void Report(RewardTable rewards, int[] groups, double[] values)
    {
        numbers.Rows["advantages"] = values;
        var totals = rewards.Totals();
        numbers.Rows["rewards"] = totals;
        for (var i = 0; i < rewards.Functions; i++)
        {
            var spread = Spread.Of(rewards.Of(i));
            (numbers.Metrics[$"rewards/reward_{i}/mean"], numbers.Metrics[$"rewards/reward_{i}/std"]) = (spread.Mean, spread.Deviation);
        }
        var total = Spread.Of(totals);
        (numbers.Metrics["reward"], numbers.Metrics["reward_std"]) = (total.Mean, total.Deviation);
        numbers.Metrics["frac_reward_zero_std"] = GroupAdvantages.WithoutSpread(totals, groups);
        Put("logps_sum", policy.Sums());
        Put("logps_mean", policy.Means());
        Put("logps", policy.Each);
        Put("entropies", entropies);
        Measure("entropy", Take(entropies).Each);
        numbers.Given.UnionWith(["old_logps", "engine_logps"]);
        if (Parts > 1) numbers.Others["micro_batch_losses"] = CaseNumbers.Doubles(stack(losses));
        var old = Given("old_logps") ?? policy.Each.detach();
        Put("ratio", Level == RatioLevel.Sequence ? rows.Means(tokens.LogRatios()).exp() : (policy.Each - old).exp());
        if (from.Number("beta") != 0) ReportKl();
        ReportMasks();
        ReportClips();
    }

    private void ReportKl()
    {
        var reference = ReferenceLogs();
        Put("reference_logps", reference);
        var each = KlEstimate.Each(KlKind.K3, policy.Each, reference);
        Put("kl", from.Flag("use_bias_correction_kl") ? each * (policy.Each - (Given("old_logps") ?? policy.Each)).exp() : each);
        Measure("kl", Kl());
    }

    private void ReportMasks()
    {
        if (from.Has("off_policy_mask_threshold")) Put("off_policy_mask", OffPolicy());
        if (from.Number("top_entropy_quantile", 1) < 1)
            Put("entropy_mask", zeros(all.Tokens).index_add(0, counted, Kept(), 1));
        if (Formula is GammaWeightLoss gamma)
        {
            var phi = rows.Means(gamma.Weights(tokens));
            numbers.Put("phi", phi);
            numbers.Measure("vespo/phi_seq_mean", phi);
        }
        if (Correction() is not { } correction) return;
        var weights = Bounds!.WholeRows ? rows.Means(correction) : correction;
        numbers.Put("engine_correction", weights);
        var gaps = CaseNumbers.Doubles((tokens.Old - Take(Given("engine_logps")!).Each).abs());
        (numbers.Metrics["sampling/sampling_logp_difference/mean"], numbers.Metrics["sampling/sampling_logp_difference/max"]) =
            (gaps.Average(), gaps.Max());
        var given = CaseNumbers.Doubles(weights);
        numbers.Metrics["sampling/importance_sampling_ratio/min"] = given.Min();
        numbers.Metrics["sampling/importance_sampling_ratio/mean"] = given.Average();
        numbers.Metrics["sampling/importance_sampling_ratio/max"] = given.Max();
    }

    private void ReportClips()
    {
        if (Formula is CappedWeightLoss capped)
            Measure("cispo_clip_ratio", capped.Capped(tokens.Ratios(Level), tokens.Advantages));
        var bounds = Formula switch
        {
            GeometricLoss => new ClippedLoss(1 - Math.Exp(-Low), Math.Exp(High) - 1),
            ClippedLoss clipped => clipped,
            _ => null,
        };
        if (bounds is null) return;
        var (below, above) = bounds.Clipped(tokens.Ratios(Level), tokens.Advantages);
        // A ratio of whole rows is counted by row.
        Func<Tensor, RowLayout, Tensor>? mean = Level == RatioLevel.Sequence ? (own, layout) => layout.Means(own) : null;
        Measure("clip_ratio/low_mean", below, mean);
        Measure("clip_ratio/high_mean", above, mean);
        Measure("clip_ratio/region_mean", below.logical_or(above), mean);
        Measure("clip_ratio/low_min", below, (own, layout) => layout.Means(own).min());
        Measure("clip_ratio/high_max", above, (own, layout) => layout.Means(own).max());
    }
}
