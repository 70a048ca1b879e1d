using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// KPT (Hu et al. 2022): many words for each label from a knowledge base. Words that two labels share, words of too many tokens, and words
/// that the calibrating prompts make improbable (eq. 2) are removed; a label's score is a mean weighted by a softmax of learned weights
/// (eq. 6).
/// </summary>
public sealed class KnowledgeableVerbalizer : WordVerbalizer
{
    private readonly Tokenizer tokenizer;
    private readonly WordReading reading;
    private WordTable table;
    private Tensor? calibration;

    /// <summary>A verbalizer.</summary>
    /// <param name="words">The words of each label, the label's own name first; that one is never removed for being shared.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="reading">How a word of several tokens is read.</param>
    /// <param name="mostPieces">The most tokens of a word; null for any number.</param>
    /// <param name="prefix">What is put before a word.</param>
    /// <exception cref="InputException">A label keeps no words.</exception>
    public KnowledgeableVerbalizer(
        IReadOnlyList<IReadOnlyList<string>> words,
        Tokenizer tokenizer,
        WordReading reading = WordReading.First,
        int? mostPieces = null,
        string prefix = " ")
    {
        ArgumentNullException.ThrowIfNull(words);
        (this.tokenizer, this.reading) = (tokenizer, reading);
        var read = LabelWords.Of(
            Unshared(words),
            tokenizer,
            prefix,
            stripped: true);
        table = new(
            LabelWords.Exact(
                [.. read.Words.Select((label, l) => (IReadOnlyList<string>)[.. label.Where((_, w) => read.Ids[l][w].Length
                    <= (mostPieces ?? int.MaxValue))])],
                tokenizer),
            reading);
        Weights = Fresh();
    }

    /// <inheritdoc/>
    public override WordTable Table => table;

    /// <summary>The learned weights of the words [C, W].</summary>
    public Tensor Weights { get; private set; }

    /// <summary>What the weights are multiplied with outside training.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>The share of the vocabulary, the least probable part after calibration, whose words are removed.</summary>
    public double LeastShare { get; init; } = 0.5;

    /// <summary>Whether it is trained.</summary>
    public bool Training { get; set; }

    /// <summary>Setting it removes the improbable words, and sets the weights to zero.</summary>
    public override Tensor? Calibration
    {
        get => calibration;
        set
        {
            calibration = value?.detach();
            if (calibration is null) return;
            using var scope = NewDisposeScope();
            var least = calibration.argsort().slice(0, 0, (long)(LeastShare * calibration.size(0)), 1).to(ScalarType.Int64).cpu();
            var gone = least.data<long>().ToHashSet();
            Keep((label, word) => !Array.Exists(table.Labels.Ids[label][word], id => gone.Contains(id)));
        }
    }

    /// <summary>Keeps some words and sets the weights to zero.</summary>
    /// <param name="keeps">Whether a word of a label stays.</param>
    /// <exception cref="InputException">A label keeps no words.</exception>
    public void Keep(Func<int, int, bool> keeps)
    {
        ArgumentNullException.ThrowIfNull(keeps);
        Use([.. table.Labels.Words.Select((words, label) => (IReadOnlyList<string>)[.. words.Where((_, word) => keeps(label, word))])]);
    }

    /// <summary>Uses other words, whose prefix is there already, and sets the weights to zero.</summary>
    /// <param name="words">The words of each label.</param>
    internal void Use(IReadOnlyList<IReadOnlyList<string>> words)
    {
        var kept = LabelWords.Exact(words, tokenizer);
        table.Dispose();
        Weights.Dispose();
        table = new(kept, reading);
        Weights = Fresh();
    }

    /// <inheritdoc/>
    protected override Tensor Together(Tensor words)
    {
        ArgumentNullException.ThrowIfNull(words);
        var mask = table.Mask.to(words.device);
        var shares = ((Training ? Weights : Weights * Temperature) - (10000 * (1 - mask))).softmax(-1);
        return (words * mask * shares).sum(-1);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        Weights.Dispose();
        base.Dispose(disposing);
    }

    private Tensor Fresh() => zeros(table.Mask.shape, requires_grad: true).DetachFromDisposeScope();

    // A word that is written twice is removed once from each label, but not where it comes first.
    private static List<IReadOnlyList<string>> Unshared(IReadOnlyList<IReadOnlyList<string>> words)
    {
        var repeated = words.SelectMany(label => label).GroupBy(word => word, StringComparer.Ordinal).Where(group => group.Count() > 1)
            .Select(group => group.Key).ToList();
        return [.. words.Select(label =>
        {
            var kept = label.ToList();
            foreach (var word in repeated)
                if (kept.Count > 1 && kept.FindIndex(1, other => other == word) is > 0 and var at) kept.RemoveAt(at);
            return (IReadOnlyList<string>)kept;
        })];
    }
}
