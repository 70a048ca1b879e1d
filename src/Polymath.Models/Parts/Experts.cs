using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>
/// A mixture of experts (Shazeer et al. 2017): a router chooses a few blocks for each token; their outputs are weighted by the router's
/// probabilities.
/// </summary>
/// <param name="router">The router: hidden to experts.</param>
/// <param name="experts">The blocks.</param>
/// <param name="chosen">How many blocks a token goes through.</param>
/// <param name="renormalise">Whether the weights of the chosen blocks are scaled to sum to one.</param>
public sealed class Experts(Projection router, IReadOnlyList<GatedFeedForward> experts, int chosen, bool renormalise)
{
    /// <summary>Maps x [tokens, hidden] to [tokens, hidden].</summary>
    /// <param name="x">The input.</param>
    public Tensor Forward(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        var (weights, indices) = router.Forward(x).softmax(-1).topk(chosen, -1);                // [tokens, chosen]
        if (renormalise) weights = weights / weights.sum(-1, keepdim: true);
        var flat = weights.flatten();
        var places = indices.cpu().contiguous().data<long>().ToArray();
        var result = zeros_like(x);
        for (var expert = 0; expert < experts.Count; expert++)
        {
            // The choices of this expert, as indices token·chosen + rank.
            var own = Enumerable.Range(0, places.Length).Where(i => places[i] == expert).Select(i => (long)i).ToArray();
            if (own.Length == 0) continue;
            var at = tensor(own, device: x.device);
            var tokens = tensor(Array.ConvertAll(own, i => i / chosen), device: x.device);
            result = result.index_add(
                0, tokens, experts[expert].Forward(x.index_select(0, tokens)) * flat.index_select(0, at).unsqueeze(1), 1);
        }
        return result;
    }
}
