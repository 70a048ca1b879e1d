using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// AdaLoRA's pruning of ranks (Zhang et al. 2023, section 3.2 and algorithm 1). The importance of an element is its effect on the loss,
/// |w·∂L/∂w|, smoothed by β₁ (eq. 9), times the uncertainty of this effect, smoothed by β₂ (eq. 10). The importance of a rank is
/// that of its E plus the means over its row of A and its column of B (eq. 7). The least important ranks of all layers are masked: their E
/// becomes zero. The number of ranks that stay falls from <c>init_r</c> to <c>target_r</c> per layer by a cubic schedule (eq. 12) between
/// <c>tinit</c> and <c>total_step − tfinal</c>, every <c>deltaT</c> steps; then the ranks are fixed.
/// </summary>
internal sealed class RankBudget : DeltaCourse
{
    private const string TotalKey = "total_step";

    private readonly AdapterConfiguration configuration;
    private readonly IReadOnlyList<(string Module, AdaLora Delta)> deltas;
    private readonly Dictionary<Weight, (Tensor Mean, Tensor Spread)> importance = [];
    private readonly Dictionary<AdaLora, Tensor> kept = [];
    private readonly Dictionary<string, Tensor> memory = [];
    private readonly double beta1, beta2;
    private readonly int target, start, end, every;
    private int total;

    internal RankBudget(DeltaParts parts, IReadOnlyList<(string Module, AdaLora Delta)> deltas)
    {
        (configuration, this.deltas) = (parts.Configuration, deltas);
        Check(configuration);
        (beta1, beta2) = (Share(configuration, "beta1"), Share(configuration, "beta2"));
        (target, start, end, every) = (
            configuration.Whole("target_r", 8, least: 0),
            configuration.Whole("tinit", 0, least: 0),
            configuration.Whole("tfinal", 0, least: 0),
            configuration.Whole("deltaT", 1));
        total = configuration.Has(TotalKey) ? configuration.Whole(TotalKey, 1) : 0;
        if (!parts.IsFresh) return;
        foreach (var (module, delta) in deltas)
        {
            foreach (var weight in delta.Weights)
                importance[weight] = (Remember("importance", weight, parts), Remember("unsteadiness", weight, parts));
            memory[$"kept.{module}"] = kept[delta] = parts.Own(ones_like(delta.E.Value).detach());
        }
    }

    private Tensor Remember(string what, Weight weight, DeltaParts parts) =>
        memory[$"{what}.{weight.Name}"] = parts.Own(zeros_like(weight.Value).detach());

    private static double Share(AdapterConfiguration configuration, string key) =>
        configuration.Number(key, 0.85) is > 0 and < 1 and var share
            ? share
            : throw configuration.Fault(key, "a number between 0 and 1 is needed");

    // A schedule without a step for pruning is refused, as in PEFT.
    internal static void Check(AdapterConfiguration configuration)
    {
        Share(configuration, "beta1");
        Share(configuration, "beta2");
        if (!configuration.Has(TotalKey)) return;
        int steps = configuration.Whole(TotalKey, 1),
            start = configuration.Whole("tinit", 0, least: 0),
            end = configuration.Whole("tfinal", 0, least: 0);
        if (start >= steps - end)
            throw new InputException($"{configuration.Origin}: of {steps} steps (total_step), tinit {start} and tfinal {end} leave none "
                + "for pruning ranks. Lower tinit or tfinal, or train longer.");
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Tensor> Memory => memory;

    /// <inheritdoc/>
    public override bool Follows => kept.Count > 0;

    /// <inheritdoc/>
    public override void Begin(int steps)
    {
        if (!configuration.Has(TotalKey)) configuration.Set(TotalKey, steps);
        Check(configuration);
        total = configuration.Whole(TotalKey, 1);
    }

    /// <inheritdoc/>
    public override void Stepped(int step, IReadOnlyDictionary<Weight, Tensor> gradients)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        if (step < total - end)
        {
            foreach (var (weight, (mean, spread)) in importance)
            {
                if (!gradients.TryGetValue(weight, out var gradient)) continue;
                var now = (weight.Value * gradient).abs();
                mean.mul_(beta1).add_(now * (1 - beta1));
                spread.mul_(beta2).add_((now - mean).abs() * (1 - beta2));
            }
            if (step <= start || step % every != 0) return;
        }
        if (step <= total - end) Choose(Budget(step));
        foreach (var (delta, mask) in kept) delta.E.Value.masked_fill_(mask.eq(0), 0);
    }

    /// <summary>The number of ranks of all layers that stay after a step.</summary>
    /// <param name="step">The step.</param>
    internal int Budget(int step)
    {
        int first = kept.Values.Sum(mask => (int)mask.numel()), last = target * kept.Count;
        if (step <= start) return first;
        if (step > total - end) return last;
        var rest = 1 - (double)(step - start) / (total - end - start);
        return (int)((first - last) * rest * rest * rest + last);
    }

    private void Choose(int budget)
    {
        var scores = kept.Keys.ToDictionary(delta => delta, Score);
        var all = cat([.. scores.Values]);
        var masked = all.numel() - budget;
        // The largest importance among the masked ranks: every rank that is not above it is masked, ties included.
        var threshold = masked < 1 ? double.NegativeInfinity : all.kthvalue(masked, 0).values.item<float>();
        foreach (var (delta, score) in scores) kept[delta].copy_(score.gt(threshold).to(ScalarType.Float32).view(-1, 1));
    }

    // [r]
    private Tensor Score(AdaLora delta)
    {
        Tensor Of(Weight weight) => importance[weight].Mean * importance[weight].Spread;
        return Of(delta.E).view(-1) + (Of(delta.A).mean([1]) + Of(delta.B).mean([0]));
    }

    // PEFT cuts the tensors to the ranks that stay and lists these ranks in rank_pattern.
    /// <inheritdoc/>
    public override void Saving(Dictionary<string, Tensor> content)
    {
        if (kept.Count == 0 || kept.Values.All(mask => mask.ge(1).all().item<bool>())) return;
        var pattern = new JsonObject();
        foreach (var (module, delta) in deltas)
        {
            var marks = kept[delta].view(-1).gt(0);
            var places = marks.nonzero().view(-1);
            foreach (var (weight, dimension) in new[] { (delta.A, 0), (delta.E, 0), (delta.B, 1) })
                content[weight.Name] = weight.Value.index_select(dimension, places).contiguous();
            pattern[module + ".lora_E"] = new JsonArray([.. marks.data<bool>().Select(mark => JsonValue.Create(mark))]);
        }
        configuration.Set("rank_pattern", pattern);
    }
}
