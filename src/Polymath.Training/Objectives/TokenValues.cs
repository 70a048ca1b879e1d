using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// A value for each token of ragged rows, such as the log-probabilities of answers. A policy's values have a gradient; those of a reference
/// and of the policy that sampled have none.
/// </summary>
/// <param name="Each">The values [tokens], row after row.</param>
/// <param name="Rows">How the tokens lie.</param>
public sealed record TokenValues(Tensor Each, RowLayout Rows)
{
    /// <summary>log p of a batch's targets.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The batch.</param>
    public static TokenValues LogProbabilities(LanguageModel model, Batch batch)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        var each = model.LogProbabilities(batch);
        return new TokenValues(each, RowLayout.Of(batch, each.device));
    }

    /// <summary>The sum of each row [rows].</summary>
    public Tensor Sums() => Rows.Sums(Each);

    /// <summary>The mean of each row [rows]; 0 for a row without tokens.</summary>
    public Tensor Means() => Rows.Means(Each);

    /// <summary>The values without a gradient.</summary>
    public TokenValues Detached() => this with { Each = Each.detach() };
}
