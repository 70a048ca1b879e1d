using Polymath.Models;
using Polymath.Training.Objectives;
using static TorchSharp.torch;

namespace Polymath.Training.Stages;

/// <summary>A stage's data, for methods that read data before they train.</summary>
public static class FirstLook
{
    /// <summary>
    /// The mean loss of each item of the first pass, with a gradient, one at a time; a loss is valid until the next one is requested. The
    /// source's cursor does not change.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="objective">What is learned.</param>
    /// <param name="source">The items.</param>
    /// <param name="cancellation">Stops between two items.</param>
    public static IEnumerable<Tensor> Losses(LanguageModel model, Objective objective, ItemSource source, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(objective);
        ArgumentNullException.ThrowIfNull(source);
        source.PrepareLook(cancellation);
        var kept = source.Cursor;
        try
        {
            for (var seen = 0; seen < source.Count; seen++)
            {
                cancellation.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                var items = source.Take(1);
                using var rows = model.Lay([.. items.SelectMany(item => item.Rows)], objective.SharesBeginnings);
                var score = objective.Evaluate(
                    model,
                    rows,
                    items,
                    Objective.CountsOf(items));
                yield return score.Loss / score.Count;
            }
        }
        finally
        {
            source.Cursor = kept;
        }
    }
}
