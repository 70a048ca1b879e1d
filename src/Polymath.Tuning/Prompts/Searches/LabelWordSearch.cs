using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Searches;

/// <summary>A choice of one word for each label, and the share of examples that it labels right.</summary>
/// <param name="Words">The words' tokens, by label.</param>
/// <param name="Accuracy">The share.</param>
public sealed record WordChoice(long[] Words, double Accuracy);

/// <summary>
/// LM-BFF's search for label words (Gao et al. 2021, section 5.1): for each label the tokens that the model expects most at the mask of its
/// examples; then, among all combinations, those that label most training examples right.
/// </summary>
public static class LabelWordSearch
{
    /// <summary>The likeliest tokens of each label.</summary>
    /// <param name="scores">The scores of the vocabulary [n, V] at the masks: probabilities, or their logarithms.</param>
    /// <param name="labels">The label of each row.</param>
    /// <param name="count">How many tokens a label gets.</param>
    /// <param name="isAllowed">Whether a token may be a label word.</param>
    /// <returns>For each label in order, the tokens with the mean of their scores.</returns>
    public static IReadOnlyList<IReadOnlyList<(long Token, double Score)>> Likely(
        Tensor scores,
        IReadOnlyList<long> labels,
        int count,
        Func<int, bool> isAllowed)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(labels);
        using var scope = NewDisposeScope();
        var found = new List<IReadOnlyList<(long, double)>>();
        foreach (var label in labels.Distinct().Order())
        {
            var own = tensor(Enumerable.Range(0, labels.Count).Where(i => labels[i] == label).Select(i => (long)i).ToArray());
            var means = scores.index_select(0, own).mean([0L]).to(ScalarType.Float32).cpu().contiguous().data<float>().ToArray();
            found.Add([.. Enumerable.Range(0, means.Length).Where(isAllowed).OrderByDescending(i => means[i]).Take(count)
                .Select(i => ((long)i, (double)means[i]))]);
        }
        return found;
    }

    /// <summary>The tokens of a label that are nearest to a word chosen by hand, by the cosine of their rows in the head.</summary>
    /// <param name="head">The head [V, width].</param>
    /// <param name="seed">The word's token.</param>
    /// <param name="likely">The label's likely tokens.</param>
    /// <param name="count">How many.</param>
    public static IReadOnlyList<long> Nearest(
        Tensor head,
        long seed,
        IReadOnlyCollection<long> likely,
        int count)
    {
        ArgumentNullException.ThrowIfNull(head);
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var unit = nn.functional.normalize(head.to(ScalarType.Float64), dim: -1);
        var near = nn.functional.linear(unit, unit[seed].unsqueeze(0)).squeeze(1).cpu().contiguous().data<double>().ToArray();
        return [.. likely.OrderByDescending(token => near[token]).Take(count)];
    }

    /// <summary>Every combination of one word for each label; the last label changes first.</summary>
    /// <param name="scores">The scores of the vocabulary [n, V].</param>
    /// <param name="labels">The label of each row.</param>
    /// <param name="candidates">The tokens of each label.</param>
    public static IReadOnlyList<WordChoice> Combinations(
        Tensor scores,
        IReadOnlyList<long> labels,
        IReadOnlyList<IReadOnlyList<long>> candidates)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(labels);
        IEnumerable<long[]> all = [[]];
        foreach (var label in candidates) all = all.SelectMany(start => label.Select(word => (long[])[.. start, word]));
        var width = (int)scores.size(1);
        var flat = scores.detach().to(ScalarType.Float32).cpu().contiguous().data<float>().ToArray();
        return [.. all.Select(words => new WordChoice(
            words, (double)Enumerable.Range(0, labels.Count).Count(row => Best(flat, row * width, words) == labels[row]) / labels.Count))];
    }

    /// <summary>The best combinations, the best first; equal ones in their order.</summary>
    /// <param name="choices">The combinations.</param>
    /// <param name="count">How many.</param>
    public static IReadOnlyList<WordChoice> Top(IEnumerable<WordChoice> choices, int count) =>
        [.. choices.OrderByDescending(choice => choice.Accuracy).Take(count)];

    private static int Best(float[] flat, int start, long[] words)
    {
        var best = 0;
        for (var i = 1; i < words.Length; i++)
            if (flat[start + words[i]] > flat[start + words[best]]) best = i;
        return best;
    }
}
