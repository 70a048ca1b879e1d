using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// The dropouts of LoHa and LoKr (Yeh et al. 2024), of whole pieces and in training only: with probability <see cref="Module"/> a module's
/// change is left out of a pass; else each output row of it is, with probability <see cref="Rank"/>, and where <see cref="Scaled"/> the
/// others grow so that their mean stays. What is left out is drawn from libtorch's generator, as LoRA's dropout is.
/// </summary>
/// <param name="Rank">The probability of a row.</param>
/// <param name="Module">The probability of a module.</param>
/// <param name="Scaled">Whether the rows that stay grow.</param>
sealed record PieceDropout(double Rank, double Module, bool Scaled)
{
    /// <summary>What the settings say.</summary>
    /// <param name="configuration">The settings.</param>
    /// <param name="scaled">Whether the rows that stay grow.</param>
    internal static PieceDropout Of(AdapterConfiguration configuration, bool scaled) =>
        new(Share(configuration, "rank_dropout"), Share(configuration, "module_dropout"), scaled);

    /// <summary>A probability of being left out.</summary>
    internal static double Share(AdapterConfiguration configuration, string key) =>
        configuration.Number(key, 0) is >= 0 and < 1 and var share
            ? share
            : throw configuration.Fault(key, "a number from 0 to below 1 is needed");

    /// <summary>Whether the change is left out of this pass.</summary>
    internal bool LeavesOut(DeltaSwitch state)
    {
        if (Module == 0 || !state.Training) return false;
        using var drawn = rand(1);
        return drawn.item<float>() <= Module;
    }

    /// <summary>What the output's rows are multiplied with in this pass [out]; null for nothing.</summary>
    internal Tensor? Rows(DeltaSwitch state, long output)
    {
        if (Rank == 0 || !state.Training) return null;
        var kept = rand(output).gt(Rank).to(ScalarType.Float32);
        // Where none is kept there is nothing to grow; PEFT divides by zero.
        return Scaled ? kept / kept.mean().clamp(1.0 / output) : kept;
    }
}

/// <summary>
/// Dropout of turns: in training, so many blocks as the share gives, rounded down, do not turn in a pass (PEFT's multiplicative dropout;
/// Qiu et al. 2023).
/// </summary>
static class BlockDropout
{
    /// <summary>Turns with some of them replaced by the identity.</summary>
    /// <param name="turns">[blocks, size, size].</param>
    /// <param name="share">The share of blocks.</param>
    internal static Tensor Of(Tensor turns, double share)
    {
        var count = turns.size(0);
        var still = (long)(share * count);
        if (still == 0) return turns;
        var places = randperm(count, dtype: ScalarType.Int64).narrow(0, 0, still);
        return turns.index_copy(0, places, eye(turns.size(1)).expand(still, turns.size(1), turns.size(1)));
    }
}
