using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Preferences;

/// <summary>
/// How an answer's log-ratio r becomes its score: f′(π/π₀) up to a constant, for the f-divergence that holds the policy to the
/// reference (Wang et al. 2024, table 1).
/// </summary>
public abstract record ScoreShape
{
    /// <summary>The scores [n].</summary>
    /// <param name="ratios">The log-ratios [n].</param>
    public abstract Tensor Of(Tensor ratios);
}

/// <summary>Reverse KL: r.</summary>
public sealed record ReverseKl : ScoreShape
{
    /// <inheritdoc/>
    public override Tensor Of(Tensor ratios) => ratios;
}

/// <summary>Forward KL: −e^(−r).</summary>
public sealed record ForwardKl : ScoreShape
{
    /// <inheritdoc/>
    public override Tensor Of(Tensor ratios)
    {
        ArgumentNullException.ThrowIfNull(ratios);
        return ratios.neg().exp().neg();
    }
}

/// <summary>Jensen-Shannon: log σ(r).</summary>
public sealed record JensenShannon : ScoreShape
{
    /// <inheritdoc/>
    public override Tensor Of(Tensor ratios) => nn.functional.logsigmoid(ratios);
}

/// <summary>The α-divergence: e^((α − 1)·r)/(α − 1).</summary>
/// <param name="Alpha">α, not 1.</param>
public sealed record AlphaDivergence(double Alpha = 0.5) : ScoreShape
{
    /// <inheritdoc/>
    public override Tensor Of(Tensor ratios)
    {
        ArgumentNullException.ThrowIfNull(ratios);
        return (ratios * (Alpha - 1)).exp() / (Alpha - 1);
    }
}

/// <summary>AlphaPO's reward (Gupta et al. 2025) of a probability without a reference: (1 − p^(−α))/α; log p at α = 0.</summary>
/// <param name="Alpha">α of either sign.</param>
public sealed record AlphaReward(double Alpha) : ScoreShape
{
    /// <inheritdoc/>
    public override Tensor Of(Tensor ratios)
    {
        ArgumentNullException.ThrowIfNull(ratios);
        return Alpha == 0 ? ratios : (1 - (ratios * -Alpha).exp()) / Alpha;
    }
}
