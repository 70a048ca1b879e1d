using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Optimizers;
using Polymath.Runs.Reports;

namespace Polymath.Training.Stages;

/// <summary>What a stage takes of memory and disk, as far as it is known before its first step.</summary>
internal static class StageNeeds
{
    /// <summary>A sentence about a stage.</summary>
    /// <param name="visit">The stage's visit.</param>
    /// <param name="model">The model.</param>
    /// <param name="optimizer">The optimizer of what is trained.</param>
    /// <param name="steps">The stage's steps.</param>
    /// <param name="settings">When checkpoints are written.</param>
    internal static string Of(
        string visit,
        LanguageModel model,
        OptimizerSet optimizer,
        int steps,
        CheckpointSettings settings)
    {
        var weights = model.Weights.Sum(weight => weight.Bytes);
        // In memory the gradients and the optimizer's state, on the disk the trained weights and the state.
        var held = (optimizer.Count * sizeof(float)) + optimizer.StateBytes;
        // The one for the best figure is kept besides, and a new one lies beside the old ones while it is written.
        var kept = Math.Min(settings.Keep, Math.Max(1, steps / settings.Every)) + (settings.Best is null ? 1 : 2);
        return $"{visit}: memory from {Figures.Memory((weights + held) / 1e6)} (model {Figures.Memory(weights / 1e6)}), and "
            + $"what a batch computes besides; on the disk up to {Figures.Memory(kept * held / 1e6)} of checkpoints, and "
            + $"{Figures.Memory(weights / 1e6)} where the model is written anew";
    }
}
