using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>An estimate of KL(π ‖ π₀) from one sampled token, by d = log π − log π₀ (Schulman 2020).</summary>
public enum KlKind
{
    /// <summary>d: unbiased, of either sign.</summary>
    K1,

    /// <summary>d²/2: biased, never below 0.</summary>
    K2,

    /// <summary>e^(−d) − 1 + d: unbiased, never below 0.</summary>
    K3,
}

/// <summary>Estimates of KL divergence by token. They are 0 where the two policies agree.</summary>
public static class KlEstimate
{
    /// <summary>The estimate at each token [tokens].</summary>
    /// <param name="kind">The estimate.</param>
    /// <param name="policy">log π [tokens].</param>
    /// <param name="reference">log π₀ [tokens].</param>
    public static Tensor Each(KlKind kind, Tensor policy, Tensor reference)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var d = policy - reference;
        return kind switch
        {
            KlKind.K1 => d,
            KlKind.K2 => d.square() / 2,
            _ => d.neg().expm1() + d,
        };
    }
}

/// <summary>The coefficient of KL in the reward, and how it changes.</summary>
/// <param name="Coefficient">The coefficient.</param>
public abstract record KlController(double Coefficient)
{
    /// <summary>The controller of the next step.</summary>
    /// <param name="kl">The mean over the step's rows of the KL summed over a row.</param>
    /// <param name="rows">The rows of the step.</param>
    public abstract KlController Next(double kl, double rows);
}

/// <summary>A coefficient that does not change.</summary>
/// <param name="Coefficient">The coefficient.</param>
public sealed record FixedKl(double Coefficient) : KlController(Coefficient)
{
    /// <inheritdoc/>
    public override KlController Next(double kl, double rows) => this;
}

/// <summary>
/// Keeps KL near a target (Ziegler et al. 2019, section 2.2): e = clip((KL − target)/target, −0.2, 0.2), β ← β·(1 +
/// e·rows/horizon). The paper's K is 0.1 for a step; here rows/horizon.
/// </summary>
/// <param name="Coefficient">β.</param>
/// <param name="Target">The target.</param>
/// <param name="Horizon">The rows after which an error of 1 would double β.</param>
public sealed record AdaptiveKl(double Coefficient, double Target, double Horizon = 10000) : KlController(Coefficient)
{
    /// <inheritdoc/>
    public override KlController Next(double kl, double rows) =>
        this with { Coefficient = Coefficient * (1 + Math.Clamp(kl / Target - 1, -0.2, 0.2) * rows / Horizon) };
}
