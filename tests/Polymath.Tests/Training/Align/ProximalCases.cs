using Polymath.Models;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>PPO, built from a case's settings.</summary>
internal sealed class ProximalCases
{
    private readonly AlignCase from;
    private readonly AlignModels models;
    private readonly List<TokenRow> rows;
    private readonly bool[] ended;

    public ProximalCases(AlignCase from, AlignModels models)
    {
        (this.from, this.models) = (from, models);
        rows = [.. from.Rows.Select(row => AlignModels.Row(row))];
        ended = [.. rows.Select(row => row.Targets < from.Number("response_length"))];
        Tokens = new RowLayout([.. rows.Select(row => row.Targets)]);
        Places = TokenRewards.Places(Tokens, ended);
        OldLogs = from.Values("old_logps");
        OldValues = from.Values("old_values");
        Scores = Scored();
        Reference = Logs(models.Reference, rows, gradient: false).Each;
        Kl = KlEstimate.Each(from.Text("kl_estimator") == "k3" ? KlKind.K3 : KlKind.K1, OldLogs, Reference);
        Rewards = TokenRewards.Of(new TokenValues(Kl, Tokens), from.Number("kl_coef"), Scores, Places);
        if (from.Flag("whiten_rewards"))
            Rewards = Rewards with { Each = Whitening.Of(Rewards.Each).Whiten(Rewards.Each, keepMean: true) };
        var (advantages, returns) = new GeneralizedAdvantages(from.Number("gamma"), from.Number("lam")).Of(Rewards, OldValues);
        var own = advantages.index_select(0, TokenRewards.TokenPlaces(Tokens, Places));
        (Advantages, Returns) = (Whitening.Of(own).Whiten(own), returns);
    }

    public RowLayout Tokens { get; }

    public RowLayout Places { get; }

    public Tensor OldLogs { get; }

    public Tensor OldValues { get; }

    public Tensor Scores { get; }

    public Tensor Reference { get; }

    public Tensor Kl { get; }

    public TokenValues Rewards { get; }

    public Tensor Advantages { get; }

    public Tensor Returns { get; }

    private double Temperature => from.Number("temperature") + 1e-7;

    private Tensor Scored()
    {
        using var frozen = no_grad();
        var model = models.Of("reward");
        var batch = models.Lay(model, rows);
        var scores = model.Labels!.Scores(model.Hidden(batch), batch).squeeze(1);
        var finished = tensor(rows.Select(row => row.Ids[^1] == from.Json["eos_token_id"]!.GetValue<int>()).ToArray());
        return from.Has("missing_eos_penalty") ? TokenRewards.Penalized(scores, finished, from.Number("missing_eos_penalty")) : scores;
    }

    private TokenValues Logs(LanguageModel model, IReadOnlyList<TokenRow> some, bool gradient)
    {
        using var mode = set_grad_enabled(gradient);
        var batch = models.Lay(model, some);
        return new TokenValues(
            TokenLogits.LogProbabilities(AlignModels.Logits(model, batch), batch.Targets, Temperature), RowLayout.Of(batch));
    }

    /// <summary>The critic's value before each token, and behind the last one of a row that ended.</summary>
    private Tensor Values(int[] some)
    {
        var critic = models.Of("critic");
        var batch = models.Lay(critic, [.. some.Select(row => rows[row])]);
        var places = new List<long>();
        for (var i = 0; i < some.Length; i++)
        {
            var prompt = rows[some[i]].Length - Tokens.Lengths[some[i]];
            for (var place = 0; place < Places.Lengths[some[i]]; place++) places.Add(batch.Offsets[i] + prompt - 1 + place);
        }
        var states = critic.Hidden(batch).index_select(0, tensor(places.ToArray()));
        return critic.Projections.Single(map => map.Name == "score").Forward(states).squeeze(1);
    }

    // The part of a flat tensor that belongs to some rows.
    private static Tensor Part(Tensor each, RowLayout layout, int[] some) => cat([.. some.Select(row =>
        each.narrow(0, layout.Lengths.Take(row).Sum(), layout.Lengths[row]))]);

    /// <summary>Both losses of some rows, each with its own mean, and what they were computed from.</summary>
    public (Tensor Policy, Tensor Value, TokenValues Logs, Tensor Values) Losses(int[] some)
    {
        var logs = Logs(models.Policy, [.. some.Select(row => rows[row])], gradient: true);
        var tokens = new PolicyTokens(logs, Part(OldLogs, Tokens, some), Part(Advantages, Tokens, some));
        var clip = from.Number("cliprange");
        var policy = new AllTokens().Share(new ClippedLoss(clip, clip).Each(tokens), logs.Rows, StepCounts.Of(logs.Rows));
        var values = Values(some);
        var each = Critic.Each(values, Part(OldValues, Places, some), Part(Returns, Places, some));
        return (policy, each.sum() / each.numel(), logs, values);
    }

    private ValueLoss Critic => new(from.Number("cliprange_value"));

    public static CaseNumbers Ppo(AlignCase from, AlignModels models)
    {
        var update = new ProximalCases(from, models);
        var (policy, value, logs, values) = update.Losses([.. Enumerable.Range(0, update.rows.Count)]);
        var numbers = new CaseNumbers
        {
            Loss = policy + value * from.Number("vf_coef"),
            Weights = CaseNumbers.All(models.Policy, models.Of("critic")),
        };
        update.Report(numbers);
        numbers.Put("logps", logs.Each);
        numbers.Put("values", values);
        numbers.Put("ratio", (logs.Each - update.OldLogs).exp());
        numbers.Rows["tokens"] = [.. update.Tokens.Lengths.Select(length => (double)length)];
        numbers.Rows["value_positions"] = [.. update.Places.Lengths.Select(length => (double)length)];
        numbers.Measure("policy_loss", policy);
        numbers.Measure("value_loss", value);
        numbers.Measure("value_clip_fraction", update.Critic.Clipped(values, update.OldValues, update.Returns));
        numbers.Measure("mean_score", update.Scores);
        return numbers;
    }

    /// <summary>What does not depend on the update.</summary>
    public void Report(CaseNumbers numbers)
    {
        numbers.Given.UnionWith(["old_logps", "old_values"]);
        numbers.Put("scores", Scores);
        numbers.Put("reference_logps", Reference);
        numbers.Put("kl", Kl);
        numbers.Put("rewards", Rewards.Each);
        numbers.Put("advantages", Advantages);
        numbers.Put("returns", Returns);
    }
}
