using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>Llama's block: x + attention(norm(x)), then x + feedForward(norm(x)).</summary>
/// <param name="before">The norm before attention.</param>
/// <param name="attention">Attention.</param>
/// <param name="between">The norm before the feed-forward part.</param>
/// <param name="feedForward">The feed-forward part.</param>
/// <param name="branch">The factor of what each part adds to the stream (Granite).</param>
public sealed class GatedBlock(
    Norm before,
    GroupedAttention attention,
    Norm between,
    GatedFeedForward feedForward,
    double branch = 1)
{
    /// <summary>
    /// Maps x [tokens, hidden] to the same shape. In generation, one kernel computes the block for the few continuing tokens and changes x
    /// in place.
    /// </summary>
    /// <param name="x">The residual stream.</param>
    /// <param name="batch">The rows.</param>
    /// <param name="turns">The rotary angles.</param>
    /// <param name="cache">The cache of earlier tokens, or null.</param>
    /// <param name="factors">A factor of each token's queries [tokens, 1, 1], or null.</param>
    public Tensor Forward(
        Tensor x,
        Batch batch,
        RotaryAngles turns,
        KeyValueCache? cache,
        Tensor? factors = null)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (cache is not null && factors is null && branch == 1 && !batch.StartsFresh
            && Weights() is { } weights && BlockStep.Takes(x, weights))
        {
            cache.Step(
                attention.Place,
                batch,
                turns,
                x,
                weights);
            return x;
        }
        Tensor Part(Tensor of) => branch == 1 ? of : of * branch;
        x = x + Part(attention.Forward(
            before.Forward(x),
            batch,
            turns,
            cache,
            factors));
        return x + Part(feedForward.Forward(between.Forward(x)));
    }

    // With a delta in a socket, or another activation, the parts are computed one by one.
    private BlockWeights? Weights()
    {
        if (before.Kind != NormKind.Rms || between.Kind != NormKind.Rms || feedForward.Plain is not { } maps || !attention.IsPlain)
            return null;
        var (query, key, value, output) = attention.Maps;
        return new BlockWeights(
            before.Weight!.Value,
            query,
            key,
            value,
            attention.HeadNorms?.Query.Weight!.Value,
            attention.HeadNorms?.Key.Weight!.Value,
            output,
            between.Weight!.Value,
            maps.Gate,
            maps.Up,
            maps.Down,
            before.Epsilon,
            attention.HeadNorms?.Query.Epsilon ?? 0);
    }
}
