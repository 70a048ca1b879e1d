using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Infused adapter by inhibiting and amplifying inner activations (Liu et al. 2022): one factor for each output, l ⊙ (Wx + b), or, in
/// feed-forward modules, for each input, W(l ⊙ x) + b. The factors start at one.
/// </summary>
public sealed class Ia3 : Delta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Ia3,
        "IA3",
        ["feedforward_modules", "init_ia3_weights"],
        Attach)
    {
        Roles = [Socket.Key, Socket.Value, Socket.Down],
        Derived = FeedForward,
        HasLayers = false,
        KnowsTransposed = true,
        Idle = [IdleSetting.OneStart("init_ia3_weights")],
    };

    private readonly Weight factors;
    private readonly bool before;
    private readonly DeltaSwitch state;

    private Ia3(Weight factors, bool before, DeltaSwitch state) =>
        (this.factors, this.before, this.state, Weights) = (factors, before, state, [factors]);

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        if (!state.On) return inner(x);
        return before ? inner(x * factors.Value.flatten()) : inner(x) * factors.Value.flatten();
    }

    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Merge(Tensor weight, Tensor? bias)
    {
        if (before) return (weight * factors.Value, bias);
        return (weight * factors.Value, bias is null ? null : bias * factors.Value.flatten());
    }

    // A factor of zero cannot be undone.
    /// <inheritdoc/>
    public override bool Unmerges => factors.Value.ne(0).all().item<bool>();

    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Unmerge(Tensor weight, Tensor? bias)
    {
        if (before) return (weight / factors.Value, bias);
        return (weight / factors.Value, bias is null ? null : bias / factors.Value.flatten());
    }

    // Factors of these modules' inputs, as PEFT has it for every family.
    private static JsonObject FeedForward(LanguageModel model, IReadOnlyList<string> modules) => new()
    {
        ["feedforward_modules"] = new JsonArray([.. DeltaPlan.Ends(model, model.Projections.Where(map => map.Role == Role.Down))
            .Where(modules.Contains).Select(module => JsonValue.Create(module))]),
    };

    private static void Attach(DeltaParts parts)
    {
        foreach (var target in parts.Targets)
        {
            var before = parts.Configuration.FitsEnd("feedforward_modules", target.Name);
            var factors = before ? parts.Weight(
                target.Name,
                "ia3_l",
                Start.One,
                1,
                target.InputWidth) : parts.Weight(
                    target.Name,
                    "ia3_l",
                    Start.One,
                    target.OutputWidth,
                    1);
            parts.Plug(target, new Ia3(factors, before, parts.State));
        }
    }
}
