using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>A loss of supervised tokens. REDUCTION: Σ over the tokens / the tokens of the step.</summary>
public abstract record TokenLoss
{
    /// <summary>The loss of each token [tokens].</summary>
    /// <param name="logProbabilities">log p of the tokens [tokens], with a gradient.</param>
    public abstract Tensor Each(Tensor logProbabilities);

    /// <summary>Σ of the tokens' losses / the tokens of the step, a scalar.</summary>
    /// <param name="logProbabilities">log p of the tokens [tokens], with a gradient.</param>
    /// <param name="stepTokens">The learned tokens of the whole step.</param>
    public Tensor Sum(Tensor logProbabilities, double stepTokens) => Each(logProbabilities).sum() / stepTokens;
}

/// <summary>The negative log-likelihood −log p.</summary>
public sealed record TokenLikelihood : TokenLoss
{
    /// <inheritdoc/>
    public override Tensor Each(Tensor logProbabilities)
    {
        ArgumentNullException.ThrowIfNull(logProbabilities);
        return logProbabilities.neg();
    }
}

/// <summary>Dynamic fine-tuning (Wu et al. 2025): −sg(p)·log p, which takes back the weight 1/p of the likelihood's gradient.</summary>
public sealed record DynamicFineTuning : TokenLoss
{
    /// <inheritdoc/>
    public override Tensor Each(Tensor logProbabilities)
    {
        ArgumentNullException.ThrowIfNull(logProbabilities);
        return logProbabilities * logProbabilities.detach().exp().neg();
    }
}
