using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// The dropouts of LoHa and LoKr (Yeh et al. 2024), in training only. With probability <see cref="Module"/>, a module's whole change is
/// dropped in a pass. Otherwise each of its output rows is dropped with probability <see cref="Rank"/>; with <see cref="Scaled"/>, the
/// other rows are scaled up to keep the mean. libtorch's generator draws what is dropped, as for LoRA's dropout.
/// </summary>
/// <param name="Rank">The probability of a row.</param>
/// <param name="Module">The probability of a module.</param>
/// <param name="Scaled">Whether the kept rows are scaled up.</param>
internal sealed record PieceDropout(double Rank, double Module, bool Scaled)
{
    /// <summary>Reads the settings.</summary>
    /// <param name="configuration">The settings.</param>
    /// <param name="scaled">Whether the kept rows are scaled up.</param>
    internal static PieceDropout Of(AdapterConfiguration configuration, bool scaled) =>
        new(Share(configuration, "rank_dropout"), Share(configuration, "module_dropout"), scaled);

    /// <summary>A dropout probability.</summary>
    internal static double Share(AdapterConfiguration configuration, string key) =>
        configuration.Number(key, 0) is >= 0 and < 1 and var share
            ? share
            : throw configuration.Fault(key, "a number from 0 to below 1 is needed");

    /// <summary>Whether the change is dropped in this pass.</summary>
    internal bool LeavesOut(DeltaSwitch state)
    {
        if (Module == 0 || !state.Training) return false;
        using var drawn = rand(1);
        return drawn.item<float>() <= Module;
    }

    /// <summary>The factors of the output's rows in this pass [out]; null for none.</summary>
    internal Tensor? Rows(DeltaSwitch state, long output)
    {
        if (Rank == 0 || !state.Training) return null;
        var kept = rand(output).gt(Rank).to(ScalarType.Float32);
        // When no row is kept, there is nothing to scale; PEFT divides by zero.
        return Scaled ? kept / kept.mean().clamp(1.0 / output) : kept;
    }
}

/// <summary>
/// Dropout of rotations: in training, a share of the blocks, rounded down, does not rotate in a pass (PEFT's multiplicative dropout; Qiu et
/// al. 2023).
/// </summary>
internal static class BlockDropout
{
    /// <summary>Rotations with some of them replaced by the identity.</summary>
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
