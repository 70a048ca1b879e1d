using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Scoring;
using static TorchSharp.torch;

namespace Polymath.Training.Rewards;

/// <summary>
/// What a model that rewards each step says of an answer: the probabilities that the steps are right (Lightman et al. 2023), as one number.
/// An answer without a step that fits into the context has no reward.
/// </summary>
/// <param name="model">The model; it is freed with the reward.</param>
/// <param name="separator">What stands between the steps.</param>
/// <param name="sum">How the steps become one number.</param>
public sealed class StepReward(TextModel model, string separator, StepSum sum) : Reward
{
    /// <inheritdoc/>
    public override IReadOnlyList<double> Scores(IReadOnlyList<AskedAnswer> answers, CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(answers);
        using var frozen = no_grad();
        var scores = Enumerable.Repeat(double.NaN, answers.Count).ToArray();
        var rows = answers.Select((answer, i) => (Number: i, Stepped: SteppedRow.Of(
            answer.Prompt,
            answer.Prompt,
            answer.Answer.Split(separator, StringSplitOptions.RemoveEmptyEntries),
            separator,
            model,
            model.Model.Sizes.ContextLength))).Where(row => row.Stepped.Places.Count > 0).ToList();
        foreach (var part in TokenChunks.Of(rows, row => row.Stepped.Row.Length, TokenChunks.Measured))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var batch = model.Model.Lay(part.ConvertAll(row => row.Stepped.Row));
            var right = StepLabels.Scores(model.Model, batch, part.ConvertAll(row => row.Stepped.Places)).softmax(-1).select(1, 1)
                .to(ScalarType.Float64).cpu().data<double>().ToArray();
            var at = 0;
            foreach (var (number, stepped) in part) scores[number] = One(right[at..(at += stepped.Places.Count)]);
        }
        return scores;
    }

    private double One(double[] steps) => sum switch
    {
        StepSum.Product => steps.Aggregate(1.0, (product, step) => product * step),
        StepSum.Mean => steps.Average(),
        StepSum.Last => steps[^1],
        _ => steps.Min(),
    };

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) model.Dispose();
        base.Dispose(disposing);
    }
}
