using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>How routers choose blocks: from a token's state to the weights and the numbers of its blocks.</summary>
public static class Routing
{
    /// <summary>Probabilities over all blocks, the largest of them (Mixtral, Qwen).</summary>
    /// <param name="router">The router: hidden to experts.</param>
    /// <param name="chosen">How many blocks a token goes through.</param>
    /// <param name="renormalise">Whether the weights of the chosen blocks are scaled to sum to one.</param>
    public static Func<Tensor, Routed> Softmax(Projection router, int chosen, bool renormalise) => x =>
    {
        var logits = router.Forward(x);
        var (weights, indices) = logits.softmax(-1).topk(chosen, -1);
        return new Routed(renormalise ? weights / weights.sum(-1, keepdim: true) : weights, indices, logits);
    };

    /// <summary>Probabilities over the chosen blocks only (Granite, gpt-oss).</summary>
    /// <param name="router">The router: hidden to experts.</param>
    /// <param name="chosen">How many blocks a token goes through.</param>
    public static Func<Tensor, Routed> SoftmaxOfChosen(Projection router, int chosen) => x =>
    {
        var logits = router.Forward(x);
        var (weights, indices) = logits.topk(chosen, -1);
        return new Routed(weights.softmax(-1), indices, logits);
    };

    /// <summary>A sigmoid of each of the largest logits (Llama 4).</summary>
    /// <param name="router">The router: hidden to experts.</param>
    /// <param name="chosen">How many blocks a token goes through.</param>
    public static Func<Tensor, Routed> Sigmoid(Projection router, int chosen) => x =>
    {
        var logits = router.Forward(x);
        var (weights, indices) = logits.topk(chosen, -1);
        return new Routed(weights.sigmoid(), indices, logits);
    };

    /// <summary>
    /// DeepSeek V3's: sigmoids choose, corrected by a bias that balances the load, first groups by the sum of their best two, then blocks;
    /// the weights are the sigmoids without the bias.
    /// </summary>
    /// <param name="router">The router: hidden to experts.</param>
    /// <param name="correction">The bias [experts], which has no gradient.</param>
    /// <param name="groups">How blocks are grouped, and how many a token goes through.</param>
    public static Func<Tensor, Routed> Grouped(Projection router, Weight correction, ExpertGroups groups) => x =>
    {
        ArgumentNullException.ThrowIfNull(groups);
        var logits = router.Forward(x);
        var scores = logits.sigmoid();
        var corrected = scores.detach() + correction.Value.detach();
        var best = corrected.view(scores.size(0), groups.Count, -1);
        var worth = best.topk((int)Math.Min(2, best.size(-1)), -1).values.sum(-1);
        return groups.Choose(logits, scores, groups.Masked(corrected, worth));
    };

    /// <summary>DeepSeek V2's: probabilities over all blocks, groups by their best one.</summary>
    /// <param name="router">The router: hidden to experts.</param>
    /// <param name="groups">How blocks are grouped, and how many a token goes through.</param>
    public static Func<Tensor, Routed> GroupedSoftmax(Projection router, ExpertGroups groups) => x =>
    {
        ArgumentNullException.ThrowIfNull(groups);
        var logits = router.Forward(x);
        var scores = logits.softmax(-1);
        var (worth, _) = scores.detach().view(scores.size(0), groups.Count, -1).max(-1);
        return groups.Choose(logits, scores, groups.Masked(scores.detach(), worth));
    };
}

/// <summary>Blocks in groups, of which a token sees a few.</summary>
/// <param name="Count">The number of groups.</param>
/// <param name="Kept">How many groups a token sees.</param>
/// <param name="Chosen">How many blocks a token goes through.</param>
/// <param name="Renormalise">Whether the weights of the chosen blocks are scaled to sum to one.</param>
/// <param name="Scale">The factor of the weights.</param>
public sealed record ExpertGroups(
    int Count,
    int Kept,
    int Chosen,
    bool Renormalise,
    double Scale)
{
    // The scores, with those of the groups that are not kept out of reach: a corrected score may be below zero.
    internal Tensor Masked(Tensor scores, Tensor worth)
    {
        if (Count <= 1 || Kept >= Count) return scores;
        var best = worth.topk(Kept, -1).indexes;
        var kept = zeros_like(worth).scatter(1, best, ones(best.shape, device: worth.device)).unsqueeze(-1);
        var seen = kept.expand(scores.size(0), Count, scores.size(1) / Count).reshape(scores.shape);
        return scores.masked_fill(seen.eq(0), double.NegativeInfinity);
    }

    internal Routed Choose(Tensor logits, Tensor scores, Tensor order)
    {
        var indices = order.topk(Chosen, -1).indexes;
        var weights = scores.gather(1, indices);
        if (Renormalise) weights = weights / (weights.sum(-1, keepdim: true) + 1e-20);
        return new Routed(weights * Scale, indices, logits);
    }
}
