using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>How PETAL scores a word for a label.</summary>
public enum WordScore
{
    /// <summary>The ratio of likelihoods: log p/(1−p) over the label's examples, less the same over the others.</summary>
    LikelihoodRatio,

    /// <summary>The cross-entropy of telling the label from the others: log p over its examples, log (1−p) over the others.</summary>
    CrossEntropy,
}

/// <summary>The settings of a search for label words.</summary>
/// <param name="Score">How a word is scored.</param>
/// <param name="Balanced">Whether the other labels' examples weigh together as much as the label's own.</param>
/// <param name="Candidates">How many words, the most likely ones over the label's examples, are scored; 0 for all.</param>
/// <param name="WordsPerLabel">How many words a label gets.</param>
public sealed record WordSearch(
    WordScore Score = WordScore.LikelihoodRatio,
    bool Balanced = true,
    int Candidates = 1000,
    int WordsPerLabel = 1);

/// <summary>
/// PETAL (Schick, Schmid &amp; Schütze 2020): words for the labels are found from the model's probabilities over labelled examples. A
/// label's score is the mean of the log-probabilities of its words among all words found.
/// </summary>
/// <param name="labels">The number of labels.</param>
/// <param name="search">The settings.</param>
public sealed class AutomaticVerbalizer(int labels, WordSearch search) : IDisposable
{
    private const double Tiny = 1e-15;

    private readonly List<Tensor> probabilities = [];
    private readonly List<long> seen = [];

    /// <summary>The words found [labels, words], 64-bit; null before the first search.</summary>
    public Tensor? Words { get; private set; }

    /// <summary>The scored words of each label [labels][candidates], the most likely first, in the last search.</summary>
    public IReadOnlyList<long[]> Candidates { get; private set; } = [];

    /// <summary>The scores of the words found, for each label.</summary>
    public IReadOnlyList<double[]> FoundScores { get; private set; } = [];

    /// <summary>Takes examples into account in the next search.</summary>
    /// <param name="logits">The logits of the vocabulary [n, V] where the answer is read.</param>
    /// <param name="truth">Their labels.</param>
    public void Observe(Tensor logits, IReadOnlyList<long> truth)
    {
        ArgumentNullException.ThrowIfNull(logits);
        probabilities.Add(logits.detach().softmax(-1).DetachFromDisposeScope());
        seen.AddRange(truth);
    }

    /// <summary>Finds the words from what was observed since the last search.</summary>
    /// <exception cref="InputException">Nothing was observed.</exception>
    public void Find()
    {
        if (probabilities.Count == 0) throw new InputException("A search for label words needs examples, but none was observed.");
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var all = cat(probabilities, 0);
        var truth = tensor(seen.ToArray());
        var found = Enumerable.Range(0, labels).Select(label => Best(all, truth.eq(label).to(ScalarType.Float32).unsqueeze(1))).ToList();
        Candidates = found.ConvertAll(label => label.Candidates);
        FoundScores = found.ConvertAll(label => label.Scores);
        Words?.Dispose();
        Words = stack(found.Select(label => tensor(label.Words)), 0).DetachFromDisposeScope();
        Forget();
    }

    // own [n, 1] is 1 at the label's examples.
    private (long[] Candidates, long[] Words, double[] Scores) Best(Tensor all, Tensor own)
    {
        var candidates = search.Candidates <= 0
            ? arange(all.size(1), ScalarType.Int64)
            : ((all + Tiny).log() * own).sum([0]).argsort(descending: true).slice(0, 0, Math.Min(search.Candidates, all.size(1)), 1);
        var scores = Score(all.index_select(1, candidates), own);
        var (values, places) = scores.topk((int)Math.Min(search.WordsPerLabel, scores.size(0)));
        return (
            candidates.data<long>().ToArray(),
            candidates.index_select(0, places).data<long>().ToArray(),
            values.to(ScalarType.Float64).data<double>().ToArray());
    }

    private Tensor Score(Tensor shares, Tensor own)
    {
        var others = search.Balanced ? own.sum() / (1 - own).sum() * (1 - own) : 1 - own;
        Tensor yes = (shares + Tiny).log(), no = (1 - shares + Tiny).log();
        return search.Score == WordScore.CrossEntropy
            ? (yes * own).sum([0]) + (no * others).sum([0])
            : (yes * own).sum([0]) - (no * own).sum([0]) + ((no * others).sum([0]) - (yes * others).sum([0]));
    }

    /// <summary>The labels' scores [n, labels] with the words found.</summary>
    /// <param name="logits">The logits of the vocabulary [n, V].</param>
    /// <exception cref="InputException">No search was made.</exception>
    public Tensor Scores(Tensor logits)
    {
        ArgumentNullException.ThrowIfNull(logits);
        if (Words is null) throw new InputException("The label words are not found yet. Observe labelled examples and search first.");
        var words = logits.index_select(1, Words.flatten().to(logits.device));
        return (words.softmax(-1) + Tiny).log().view(-1, labels, Words.size(1)).mean([-1]);
    }

    private void Forget()
    {
        probabilities.ForEach(tensor => tensor.Dispose());
        probabilities.Clear();
        seen.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Forget();
        Words?.Dispose();
    }
}
