using Polymath.Models;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// A loss of pairs of answers, log π summed over an answer's tokens; counted by pair. The chosen answer's mean negative log-likelihood is
/// added with a weight (Pang et al. 2024, eq. 1).
/// </summary>
/// <param name="loss">The loss.</param>
/// <param name="shape">How log-ratios become scores; null for the log-ratios themselves.</param>
/// <param name="beta">What margins are multiplied by in the figures.</param>
/// <param name="lengthWeight">The weight of the tokens behind a pair's common length (LD-DPO).</param>
/// <param name="answerWeight">The weight of the chosen answer's own likelihood.</param>
/// <param name="onPolicy">Whether each pair's loss is multiplied by the weights of its answers under the policy (WPO).</param>
public sealed class RankedPairs(
    PreferenceLoss loss,
    ScoreShape? shape,
    double beta,
    double lengthWeight = 1,
    double answerWeight = 0,
    bool onPolicy = false) : Objective
{
    // The step's answers, for losses that rank them: their log-probabilities, those of the reference, and their lengths.
    private readonly List<float> sums = [], references = [], lengths = [];
    private int done;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = ["margin", "accuracy"];

    /// <inheritdoc/>
    public override void Begin(LanguageModel model, IReadOnlyList<IReadOnlyList<Item>> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        foreach (var list in new[] { sums, references, lengths }) list.Clear();
        done = 0;
        if (!loss.NeedsStep || parts.Count < 2) return;
        using var frozen = no_grad();
        foreach (var part in parts)
        {
            using var scope = NewDisposeScope();
            using var batch = model.Lay([.. part.SelectMany(item => item.Rows)], shares: true);
            var answers = Answers(model, batch, part);
            sums.AddRange(answers.Policy.data<float>());
            references.AddRange(answers.Reference is { } reference ? reference.data<float>() : []);
            lengths.AddRange(answers.Lengths.data<float>());
        }
    }

    /// <inheritdoc/>
    public override bool SharesBeginnings => true;

    /// <inheritdoc/>
    public override Score Evaluate(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<Item> items,
        StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(items);
        var (answers, weights) = onPolicy ? Weighed(model, batch, items) : (Answers(model, batch, items), null);
        var pairs = PairScores.OfTurns(answers, shape);
        var part = sums.Count == 0 ? loss : loss.Within(Step(), done, items.Count);
        done += items.Count;
        // The formula divides by what it counts; the loop divides by the step's pairs.
        var sum = part.Sum(pairs, step, weights) * step.Rows;
        if (answerWeight > 0) sum = sum - pairs.Chosen.Means().sum() * answerWeight;
        var margins = (pairs.ChosenRatios - pairs.RejectedRatios).detach();
        return new Score(sum, items.Count, new Dictionary<string, double>
        {
            ["margin"] = beta * margins.sum().item<float>(),
            ["accuracy"] = margins.gt(0).sum().item<long>(),
        });
    }

    // The answers, and the product of both answers' weights for each pair.
    private (AnswerScores Answers, Tensor Weights) Weighed(LanguageModel model, Batch batch, IReadOnlyList<Item> items)
    {
        var logits = model.Unembed(model.Hidden(batch).index_select(0, batch.Places));
        var values = new TokenValues(TokenLogits.LogProbabilities(logits, batch.Targets), RowLayout.Of(batch, logits.device));
        using var frozen = no_grad();
        var each = PairWeights.OnPolicy(values, TokenLogits.LogCollisions(logits)).view(-1, 2);
        using var learning = enable_grad();
        return (Referred(Weighted(values, lengthWeight), items), each.select(1, 0) * each.select(1, 1));
    }

    private PairScores Step()
    {
        var reference = references.Count == 0 ? null : tensor(references.ToArray());
        return PairScores.OfTurns(new AnswerScores(tensor(sums.ToArray()), reference, tensor(lengths.ToArray())), shape);
    }

    private AnswerScores Answers(LanguageModel model, Batch batch, IReadOnlyList<Item> items)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        return Referred(Weighted(TokenValues.LogProbabilities(model, batch), lengthWeight), items);
    }

    private static AnswerScores Referred(TokenValues values, IReadOnlyList<Item> items)
    {
        var answers = AnswerScores.Of(values);
        var known = items.Cast<PairItem>().SelectMany(item => item.Reference).ToArray();
        return known.Length == 0 ? answers : answers with { Reference = tensor(known, device: values.Each.device) };
    }

    /// <summary>The log-probability of each answer, summed over its tokens [rows].</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The rows, a chosen and a rejected answer in turn.</param>
    /// <param name="lengthWeight">The weight of the tokens behind a pair's common length.</param>
    public static Tensor RowSums(LanguageModel model, Batch batch, double lengthWeight = 1) =>
        Weighted(TokenValues.LogProbabilities(model, batch), lengthWeight).Sums();

    private static TokenValues Weighted(TokenValues values, double lengthWeight) =>
        lengthWeight == 1 ? values : PairWeights.Desensitized(values, lengthWeight);
}
