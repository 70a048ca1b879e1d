using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>DeepSeek's mixture: blocks chosen within groups, and shared ones through which every token goes.</summary>
public static class GroupedMixture
{
    /// <summary>Gets the weights <c>gate</c>, <c>experts</c> and <c>shared_experts</c> under a prefix.</summary>
    /// <param name="parts">The model's parts.</param>
    /// <param name="read">The configuration.</param>
    /// <param name="prefix">The prefix of the names.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="hidden">The outer width.</param>
    /// <param name="groups">How blocks are grouped.</param>
    /// <param name="activation">The activation.</param>
    /// <param name="softmax">Whether scores are probabilities over all blocks (V2) instead of corrected sigmoids (V3).</param>
    /// <returns>The map of x [tokens, hidden] to [tokens, hidden].</returns>
    public static Func<Tensor, Tensor> Of(
        ModelParts parts,
        ConfigReader read,
        string prefix,
        int layer,
        int hidden,
        ExpertGroups groups,
        Activation activation,
        bool softmax = false)
    {
        ArgumentNullException.ThrowIfNull(parts);
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(groups);
        int count = read.Int("n_routed_experts", softmax ? 64 : 256), inner = read.Int("moe_intermediate_size");
        if (count % groups.Count != 0) throw ConfigReader.Fault("n_group", $"is {groups.Count}, which does not divide {count} experts");
        var router = parts.Linear(
            prefix + "gate",
            Role.Router,
            layer,
            count,
            hidden);
        var correction = softmax ? null : parts.Fixed(prefix + "gate.e_score_correction_bias", count);
        if (correction is not null) parts.Routers.Correct(layer, correction, count);
        var mixture = new Experts(
            (layer, parts.Routers),
            correction is null ? Routing.GroupedSoftmax(router, groups) : Routing.Grouped(router, correction, groups),
            Experts.Blocks(
                parts,
                prefix + "experts.",
                prefix + "experts.",
                ("gate_proj", "up_proj", "down_proj"),
                count,
                layer,
                hidden,
                inner,
                activation));
        if ((read.Maybe("n_shared_experts") ?? (softmax ? 2 : 1)) is not (> 0 and var several)) return mixture.Forward;
        var shared = GatedFeedForward.Apart(
            parts,
            prefix + "shared_experts.",
            layer,
            hidden,
            several * inner,
            activation,
            softmax && read.Bool("mlp_bias", false));
        return x => mixture.Forward(x) + shared.Forward(x);
    }
}
