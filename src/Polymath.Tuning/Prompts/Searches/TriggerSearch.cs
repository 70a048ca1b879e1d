using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Searches;

/// <summary>
/// AutoPrompt (Shin et al. 2020): trigger tokens are exchanged one by one. The gradient of the loss to a trigger's vector says, to first
/// order, which tokens lower the loss (Ebrahimi et al. 2018); the best few are tried on other examples.
/// </summary>
public static class TriggerSearch
{
    /// <summary>−log Σ over a label's words of p(word), for each row [n].</summary>
    /// <param name="logits">The logits of the vocabulary [n, V] where the answer is read.</param>
    /// <param name="words">The tokens that count as right [n, words], 64-bit; −1 where a row has no further word.</param>
    public static Tensor Losses(Tensor logits, Tensor words)
    {
        ArgumentNullException.ThrowIfNull(logits);
        ArgumentNullException.ThrowIfNull(words);
        var each = logits.log_softmax(-1).gather(1, words.clamp(min: 0));
        return -each.masked_fill(words.lt(0), double.NegativeInfinity).logsumexp(-1);
    }

    /// <summary>For each row, whether its label is the likeliest by Σ of its words' probabilities.</summary>
    /// <param name="logits">The logits of the vocabulary [n, V].</param>
    /// <param name="labels">The label of each row [n], 64-bit.</param>
    /// <param name="words">The words' tokens of each label.</param>
    public static Tensor AreRight(Tensor logits, Tensor labels, IReadOnlyList<long[]> words)
    {
        ArgumentNullException.ThrowIfNull(logits);
        var shares = logits.log_softmax(-1);
        return stack(words.Select(own => shares.index_select(1, tensor(own, device: logits.device)).logsumexp(-1)), 1)
            .argmax(-1).eq(labels);
    }

    /// <summary>
    /// How much each token would lower the loss in a trigger's place, to first order: −e·g [V]. Excluded tokens have −∞.
    /// </summary>
    /// <param name="table">The token vectors [V, width].</param>
    /// <param name="gradient">The mean gradient to the trigger's vector [width].</param>
    /// <param name="excluded">Tokens that may not be chosen; null for none.</param>
    public static Tensor Scores(Tensor table, Tensor gradient, IReadOnlyCollection<long>? excluded = null)
    {
        ArgumentNullException.ThrowIfNull(table);
        var scores = -nn.functional.linear(table, gradient.unsqueeze(0)).squeeze(1);
        return excluded is { Count: > 0 }
            ? scores.index_fill(0, tensor(excluded.ToArray(), device: table.device), double.NegativeInfinity)
            : scores;
    }

    /// <summary>The best candidates with their scores, the best first.</summary>
    /// <param name="scores">The scores [V].</param>
    /// <param name="count">How many.</param>
    public static IReadOnlyList<(long Token, double Score)> Candidates(Tensor scores, int count)
    {
        ArgumentNullException.ThrowIfNull(scores);
        using var scope = NewDisposeScope();
        var (values, tokens) = scores.topk(count);
        return [.. tokens.cpu().data<long>().ToArray().Zip(values.to(ScalarType.Float64).cpu().data<double>().ToArray())];
    }

    /// <summary>
    /// What each token says for each label [labels, V]: a softmax over the labels of the product of the label's row of a linear probe with
    /// the token's row of the head (section 3.2).
    /// </summary>
    /// <param name="probe">The probe [labels, width].</param>
    /// <param name="head">The head [V, width].</param>
    public static Tensor LabelScores(Tensor probe, Tensor head)
    {
        return nn.functional.linear(probe, head).softmax(0);
    }
}
