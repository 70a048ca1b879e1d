using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>Qwen's mixture: the chosen blocks, and a shared one through which every token goes, weighted by a gate of its own.</summary>
public static class SharedMixture
{
    /// <summary>Gets the weights <c>gate</c>, <c>experts</c>, <c>shared_expert</c> and <c>shared_expert_gate</c> under a prefix.</summary>
    /// <param name="parts">The model's parts.</param>
    /// <param name="read">The configuration.</param>
    /// <param name="prefix">The prefix of the names.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="hidden">The outer width.</param>
    /// <param name="experts">The number of experts.</param>
    /// <param name="renormalise">Whether the weights of the chosen blocks are scaled to sum to one.</param>
    /// <param name="activation">The activation.</param>
    /// <returns>The map of x [tokens, hidden] to [tokens, hidden].</returns>
    public static Func<Tensor, Tensor> Of(
        ModelParts parts,
        ConfigReader read,
        string prefix,
        int layer,
        int hidden,
        int experts,
        bool renormalise,
        Activation activation)
    {
        ArgumentNullException.ThrowIfNull(parts);
        ArgumentNullException.ThrowIfNull(read);
        var router = parts.Linear(
            prefix + "gate",
            Role.Router,
            layer,
            experts,
            hidden);
        var mixture = new Experts(
            (layer, parts.Routers),
            Routing.Softmax(router, read.IntOf(["num_experts_per_tok"], 4), renormalise),
            Experts.Blocks(
                parts,
                prefix + "experts.",
                prefix + "experts.",
                ("gate_proj", "up_proj", "down_proj"),
                experts,
                layer,
                hidden,
                read.Int("moe_intermediate_size"),
                activation));
        var shared = GatedFeedForward.Apart(
            parts,
            prefix + "shared_expert.",
            layer,
            hidden,
            read.Int("shared_expert_intermediate_size"),
            activation);
        var gate = parts.Linear(
            prefix + "shared_expert_gate",
            Role.Router,
            layer,
            1,
            hidden);
        return x => mixture.Forward(x) + gate.Forward(x).sigmoid() * shared.Forward(x);
    }
}
