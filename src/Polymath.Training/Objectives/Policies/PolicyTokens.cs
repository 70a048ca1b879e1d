using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>What an importance ratio is taken over.</summary>
public enum RatioLevel
{
    /// <summary>Each token has its own ratio.</summary>
    Token,

    /// <summary>All tokens of a row have the geometric mean of their ratios (GSPO, Zheng et al. 2025, eq. 7).</summary>
    Sequence,

    /// <summary>The value is that of the sequence, the gradient that of the token (GSPO-token, Zheng et al. 2025).</summary>
    SequenceToken,
}

/// <summary>
/// The counted tokens of sampled rows. Tokens that do not count (a tool's answer, a row cut off by the limit) are left out; a row may have
/// none.
/// </summary>
/// <param name="Policy">log π [tokens], with a gradient.</param>
/// <param name="Old">log π of the policy that sampled, or that computed the ratios' denominators [tokens].</param>
/// <param name="Advantages">The advantage of each token [tokens].</param>
public sealed record PolicyTokens(TokenValues Policy, Tensor Old, Tensor Advantages)
{
    /// <summary>The tokens of rows that have one advantage each.</summary>
    /// <param name="policy">log π [tokens], with a gradient.</param>
    /// <param name="old">log π of the policy that sampled [tokens]; null on policy, where the ratio is 1 and only its gradient
    /// counts.</param>
    /// <param name="advantages">The advantage of each row [rows].</param>
    public static PolicyTokens OfRows(TokenValues policy, Tensor? old, Tensor advantages)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return new PolicyTokens(policy, old ?? policy.Each.detach(), policy.Rows.Spread(advantages));
    }

    /// <summary>How the tokens lie.</summary>
    public RowLayout Rows => Policy.Rows;

    /// <summary>log π − log π(old) of each token [tokens].</summary>
    public Tensor LogRatios() => Policy.Each - Old;

    /// <summary>The importance ratios [tokens].</summary>
    /// <param name="level">What they are taken over.</param>
    public Tensor Ratios(RatioLevel level)
    {
        var each = LogRatios();
        if (level == RatioLevel.Token) return each.exp();
        var sequences = Rows.Spread(Rows.Means(each));
        return (level == RatioLevel.Sequence ? sequences : sequences.detach() + Policy.Each - Policy.Each.detach()).exp();
    }
}
