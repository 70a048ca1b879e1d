using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// PTR (Han et al. 2021, eq. 5 and 6): a label is a conjunction of words, one at each of m masks; its score is the log-softmax of the
/// sum of its words' logits.
/// </summary>
public sealed class RuleVerbalizer : IDisposable
{
    private readonly OneToOneVerbalizer[] masks;
    private readonly long[][] places;

    /// <summary>A verbalizer.</summary>
    /// <param name="words">For each label, its word at each mask.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="prefix">What is put before a word.</param>
    /// <exception cref="InputException">Labels have different numbers of words.</exception>
    public RuleVerbalizer(IReadOnlyList<IReadOnlyList<string>> words, Tokenizer tokenizer, string prefix = " ")
    {
        ArgumentNullException.ThrowIfNull(words);
        var count = words.Count > 0 ? words[0].Count : 0;
        for (var label = 0; label < words.Count; label++)
            if (words[label].Count != count)
                throw new InputException($"Label {label + 1} has {words[label].Count} words, but the first has {count}. Give a word "
                    + "for each "
                    + "mask of the template.");
        if (count == 0) throw new InputException("A verbalizer needs words for its labels, but there are none.");
        (masks, places) = (new OneToOneVerbalizer[count], new long[count][]);
        for (var mask = 0; mask < count; mask++)
        {
            string[] own = [.. words.Select(label => label[mask]).Distinct(StringComparer.Ordinal)];
            var read = LabelWords.Of([.. own.Select(word => (IReadOnlyList<string>)[word])], tokenizer, prefix);
            masks[mask] = new(read) { Normalizes = false };
            places[mask] = [.. words.Select(label => (long)Array.IndexOf(own, label[mask]))];
        }
    }

    /// <summary>The number of masks.</summary>
    public int Masks => masks.Length;

    /// <summary>The labels' scores [n, C]: log-softmax over the labels of Σ over the masks of the word's logit.</summary>
    /// <param name="logits">The logits of the vocabulary at the masks [n, m, V].</param>
    public Tensor Scores(Tensor logits)
    {
        ArgumentNullException.ThrowIfNull(logits);
        return Enumerable.Range(0, Masks).Select(mask => Labels(Words(logits, mask), mask)).Aggregate((a, b) => a + b).log_softmax(-1);
    }

    /// <summary>
    /// The scores [n, C] for training: to the scores is added the mean over the masks of the words' log-probabilities at that mask alone.
    /// </summary>
    /// <param name="logits">The logits of the vocabulary at the masks [n, m, V].</param>
    public Tensor TrainingScores(Tensor logits)
    {
        ArgumentNullException.ThrowIfNull(logits);
        var alone = Enumerable.Range(0, Masks).Select(mask => Labels(Words(logits, mask).log_softmax(-1), mask)).Aggregate((a, b) => a + b);
        return Scores(logits) + (alone / Masks);
    }

    private Tensor Words(Tensor logits, int mask) => masks[mask].Scores(logits.select(1, mask));

    private Tensor Labels(Tensor words, int mask) => words.index_select(1, tensor(places[mask], device: words.device));

    /// <inheritdoc/>
    public void Dispose() => Array.ForEach(masks, mask => mask.Dispose());
}
