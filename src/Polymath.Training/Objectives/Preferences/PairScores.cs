using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Preferences;

/// <summary>The scores of pairs of answers: what every loss of pairs is computed from.</summary>
public sealed class PairScores
{
    /// <summary>Scores of pairs.</summary>
    /// <param name="chosen">The chosen answers [pairs].</param>
    /// <param name="rejected">The rejected answers [pairs].</param>
    /// <param name="shape">How log-ratios become scores; null for the log-ratios themselves.</param>
    public PairScores(AnswerScores chosen, AnswerScores rejected, ScoreShape? shape = null)
    {
        ArgumentNullException.ThrowIfNull(chosen);
        ArgumentNullException.ThrowIfNull(rejected);
        (Chosen, Rejected, Shape) = (chosen, rejected, shape ?? new ReverseKl());
        (ChosenRatios, RejectedRatios) = (chosen.Ratios(), rejected.Ratios());
        (ChosenScores, RejectedScores) = (Shape.Of(ChosenRatios), Shape.Of(RejectedRatios));
    }

    /// <summary>The scores of rows that hold a chosen and a rejected answer in turn.</summary>
    /// <param name="answers">The answers [2·pairs].</param>
    /// <param name="shape">How log-ratios become scores; null for the log-ratios themselves.</param>
    public static PairScores OfTurns(AnswerScores answers, ScoreShape? shape = null)
    {
        ArgumentNullException.ThrowIfNull(answers);
        var places = Enumerable.Range(0, (int)answers.Policy.shape[0] / 2).Select(pair => 2L * pair).ToArray();
        var first = tensor(places, device: answers.Policy.device);
        return new PairScores(answers.Take(first), answers.Take(first + 1), shape);
    }

    /// <summary>The chosen answers.</summary>
    public AnswerScores Chosen { get; }

    /// <summary>The rejected answers.</summary>
    public AnswerScores Rejected { get; }

    /// <summary>How log-ratios become scores.</summary>
    public ScoreShape Shape { get; }

    /// <summary>The chosen answers' log-ratios [pairs].</summary>
    public Tensor ChosenRatios { get; }

    /// <summary>The rejected answers' log-ratios [pairs].</summary>
    public Tensor RejectedRatios { get; }

    /// <summary>The chosen answers' scores [pairs].</summary>
    public Tensor ChosenScores { get; }

    /// <summary>The rejected answers' scores [pairs].</summary>
    public Tensor RejectedScores { get; }

    /// <summary>Δ: the chosen answer's score less the rejected one's [pairs].</summary>
    public Tensor Margins() => ChosenScores - RejectedScores;

    /// <summary>The same with each score divided by its answer's length [pairs].</summary>
    public Tensor MeanMargins() => ChosenScores / Chosen.Lengths - RejectedScores / Rejected.Lengths;

    /// <summary>The same pairs with means over the tokens in place of sums.</summary>
    /// <param name="shape">How mean log-ratios become scores; null for as before.</param>
    public PairScores Averaged(ScoreShape? shape = null) => new(Chosen.Averaged(), Rejected.Averaged(), shape ?? Shape);
}
