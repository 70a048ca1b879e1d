using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// ProtoVerb's labels (Cui et al. 2022) as a stage trains them: log-probabilities by the cosines with the labels' prototypes, and a share
/// of those by the labels' words. The paper scales both to mean 0 and deviation 1 in each row first; of two labels that leaves only which
/// is greater, and no gradient, so here they are log-probabilities.
/// </summary>
/// <param name="words">The labels' words; freed with this.</param>
/// <param name="map">The map to the small space [m, hidden].</param>
/// <param name="prototypes">The prototypes [C, m].</param>
/// <param name="sharpness">What cosines are multiplied with.</param>
/// <param name="beside">The share of the words.</param>
public sealed class PrototypeLabels(
    WordLabels words,
    Weight map,
    Weight prototypes,
    double sharpness,
    double beside) : LabelReading
{
    /// <inheritdoc/>
    public override Tensor Scores(AskedStates asked)
    {
        ArgumentNullException.ThrowIfNull(asked);
        var mapped = nn.functional.normalize(nn.functional.linear(asked.States.select(1, 0), map.Value), dim: -1);
        var near = (nn.functional.linear(mapped, nn.functional.normalize(prototypes.Value, dim: -1)) * sharpness).log_softmax(-1);
        return beside == 0 ? near : (near * (1 - beside)) + (words.Scores(asked).log_softmax(-1) * beside);
    }

    /// <inheritdoc/>
    public override Tensor? WordShares(AskedStates asked) => beside == 0 ? null : words.WordShares(asked);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        words.Dispose();
        base.Dispose(disposing);
    }
}
