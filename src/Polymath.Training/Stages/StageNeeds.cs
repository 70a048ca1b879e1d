using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Reports;

namespace Polymath.Training.Stages;

/// <summary>What a stage takes of memory and disk, as far as it is known before its first step.</summary>
static class StageNeeds
{
    // 32-bit numbers: in memory the gradient and the two moments of AdamW, on the disk the weight and the moments.
    private const int Held = 3 * 4;

    /// <summary>A sentence about a stage.</summary>
    /// <param name="visit">The stage's visit.</param>
    /// <param name="model">The model.</param>
    /// <param name="trained">The number of elements that are trained.</param>
    /// <param name="steps">The stage's steps.</param>
    /// <param name="settings">When checkpoints are written.</param>
    internal static string Of(
        string visit,
        LanguageModel model,
        long trained,
        int steps,
        CheckpointSettings settings)
    {
        var weights = model.Weights.Sum(weight => weight.Bytes);
        // The one for the best figure is kept besides, and a new one lies beside the old ones while it is written.
        var kept = Math.Min(settings.Keep, Math.Max(1, steps / settings.Every)) + (settings.Best is null ? 1 : 2);
        return $"{visit}: memory from {Figures.Memory((weights + (trained * Held)) / 1e6)} (model {Figures.Memory(weights / 1e6)}), and "
            + $"what a batch computes besides; on the disk up to {Figures.Memory(kept * trained * Held / 1e6)} of checkpoints, and "
            + $"{Figures.Memory(weights / 1e6)} where the model is written anew";
    }
}
