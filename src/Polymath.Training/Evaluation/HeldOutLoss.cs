using Polymath.Models;
using Polymath.Training.Objectives;
using static TorchSharp.torch;

namespace Polymath.Training.Evaluation;

/// <summary>The loss of rows that a stage does not learn from, as it would be counted if it did.</summary>
/// <param name="objective">What the stage learns.</param>
/// <param name="items">The rows.</param>
public sealed class HeldOutLoss(Objective objective, IReadOnlyList<Item> items)
{
    private const int Groups = 16;

    /// <summary>The mean loss, and the standard error of this mean, from the means of groups of rows.</summary>
    /// <param name="model">The model as it is, without dropout.</param>
    /// <param name="cancellation">Stops between two groups.</param>
    public (double Mean, double Spread) Measure(LanguageModel model, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        using var frozen = no_grad();
        var groups = new List<(double Sum, double Count)>();
        var size = Math.Clamp(items.Sum(item => (long)item.Tokens) / Groups, 1, TokenChunks.Measured);
        foreach (var part in TokenChunks.Of(items, item => item.Tokens, size))
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var rows = model.Lay([.. part.SelectMany(item => item.Rows)], objective.SharesBeginnings);
            var score = objective.Evaluate(
                model,
                rows,
                part,
                Objective.CountsOf(part));
            groups.Add((score.Loss.item<float>(), score.Count));
        }
        double count = groups.Sum(group => group.Count), mean = groups.Sum(group => group.Sum) / count;
        // Of a ratio of sums: groups that count more weigh more.
        var squares = groups.Sum(group => Math.Pow(group.Sum - mean * group.Count, 2));
        var spread = groups.Count > 1 ? Math.Sqrt(squares * groups.Count / (groups.Count - 1.0)) / count : double.NaN;
        return (mean, spread);
    }
}
