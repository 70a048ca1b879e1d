using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// BitFit (Ben Zaken et al. 2022): only the biases of the model are trained. Llama and similar families have almost none; on request, maps
/// without a bias get one, which starts at zero. Without targets, all biases are trained.
/// </summary>
public sealed class BitFit : Delta
{
    /// <summary>The kind's name in our files; PEFT has no such kind.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Bitfit,
        "POLYMATH_BITFIT",
        ["create_missing"],
        Attach)
    {
        AllModules = Biased,
    };

    private readonly Weight bias;
    private readonly DeltaSwitch state;

    private BitFit(Weight bias, DeltaSwitch state) => (this.bias, this.state, Weights) = (bias, state, [bias]);

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override bool Merges => false;

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        return state.On ? inner(x) + bias.Value : inner(x);
    }

    // Every module with a bias, and every map, which may get one.
    private static List<string> Biased(LanguageModel model) =>
        [.. model.Weights.Where(weight => weight.Name.EndsWith(".bias", StringComparison.Ordinal))
            .Select(weight => weight.Name[..^".bias".Length]).Concat(model.Projections.Select(map => map.Name)).Distinct()];

    private static void Attach(DeltaParts parts)
    {
        var all = parts.Configuration.TargetModules.Count == 0;
        // The biases of experts may lie in one weight, too.
        var stacked = parts.Model.Projections.Where(map => map is { Stack.IsWhole: true, Bias: not null }).ToLookup(map => map.Bias!);
        var biases = parts.Model.Weights
            .Where(weight => weight.Name.EndsWith(".bias", StringComparison.Ordinal) || stacked.Contains(weight)).ToList();
        if (biases.Count == 0 && !parts.Configuration.Flag("create_missing"))
            throw new InputException($"{parts.Configuration.Origin}: a {parts.Model.Configuration["model_type"]} of this kind has no "
                + "biases to train. Add some (settings: {create_missing: true}), or use another form.");
        foreach (var weight in biases)
            if (all || (stacked.Contains(weight)
                ? stacked[weight].Any(parts.Configuration.Targets)
                : parts.Configuration.Targets(weight.Name[..^".bias".Length], linear: true)))
                parts.Choose(weight, AdapterConfiguration.Prefix + weight.Name);
        if (!parts.Configuration.Flag("create_missing")) return;
        foreach (var target in parts.Model.Projections.Where(map => map.Bias is null && (all || parts.Configuration.Targets(map))))
            parts.Plug(target, new BitFit(parts.Weight(target.Name, "bias", Start.Zero, target.OutputWidth), parts.State));
    }
}
