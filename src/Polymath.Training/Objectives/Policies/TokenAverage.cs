using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>
/// How the losses of tokens become the loss of a step. Each returns the micro-batch's share of it: a sum that is already divided by the
/// step's counts, given from outside. Shares of micro-batches add up.
/// </summary>
public abstract record TokenAverage
{
    /// <summary>The share of a micro-batch, a scalar.</summary>
    /// <param name="each">The losses [tokens].</param>
    /// <param name="rows">How the tokens lie. A row without tokens adds 0.</param>
    /// <param name="step">The counts of the whole step; rows without tokens count as rows.</param>
    public abstract Tensor Share(Tensor each, RowLayout rows, StepCounts step);
}

/// <summary>The mean over rows of each row's mean (GRPO, Shao et al. 2024, eq. 3): Σ of row means / rows.</summary>
public sealed record RowMeans : TokenAverage
{
    /// <inheritdoc/>
    public override Tensor Share(Tensor each, RowLayout rows, StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return rows.Means(each).sum() / step.Rows;
    }
}

/// <summary>
/// The mean over tokens (DAPO, Yu et al. 2025, eq. 8): Σ / tokens. Over the step it is DAPO's; over one batch alone it is BNPO's.
/// </summary>
public sealed record AllTokens : TokenAverage
{
    /// <inheritdoc/>
    public override Tensor Share(Tensor each, RowLayout rows, StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(each);
        return each.sum() / Math.Max(step.Tokens, 1);
    }
}

/// <summary>A constant in place of the length (Dr. GRPO, Liu et al. 2025): Σ / (rows · the most tokens that a row may have).</summary>
/// <param name="MostTokens">The limit of a row's length.</param>
public sealed record FixedLength(int MostTokens) : TokenAverage
{
    /// <inheritdoc/>
    public override Tensor Share(Tensor each, RowLayout rows, StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(each);
        return each.sum() / (step.Rows * MostTokens);
    }
}

/// <summary>
/// The mean over rows of each row's sum (LUSPO, 2026): Σ / rows. With a ratio of the sequence it is the row's loss times its length.
/// </summary>
public sealed record RowSums : TokenAverage
{
    /// <inheritdoc/>
    public override Tensor Share(Tensor each, RowLayout rows, StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(each);
        return each.sum() / step.Rows;
    }
}

/// <summary>
/// A bonus for entropy (Mnih et al. 2016, section 4): −c·Σ H / the step's tokens, whatever the policy's loss is averaged over.
/// </summary>
/// <param name="Coefficient">c.</param>
public sealed record EntropyBonus(double Coefficient)
{
    /// <summary>The share of a micro-batch, a scalar that is added to the loss.</summary>
    /// <param name="entropies">H [tokens], with a gradient.</param>
    /// <param name="stepTokens">The counted tokens of the whole step.</param>
    public Tensor Share(Tensor entropies, double stepTokens)
    {
        ArgumentNullException.ThrowIfNull(entropies);
        return entropies.sum() * (-Coefficient / Math.Max(stepTokens, 1));
    }
}
