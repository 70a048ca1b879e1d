namespace Polymath.Recipes;

/// <summary>How labels are read where a prompt's answer stands; written words are meant where <c>kind</c> is left out.</summary>
[Case("kind", "words", typeof(WordsSpec), IsDefault = true)]
[Case("kind", "soft", typeof(SoftLabelsSpec))]
public abstract record VerbalizerSpec
{
    /// <summary>The kind's name, as recipes write it.</summary>
    public abstract string Kind { get; }

    /// <summary>Whether it has weights that are trained.</summary>
    public virtual bool Learns => false;

    /// <summary>How many answers it reads in a row: how many masks a template has.</summary>
    public virtual int Answers => 1;

    /// <summary>The words of each label, as the recipe gives them; a label without an entry stands for itself.</summary>
    public abstract IReadOnlyDictionary<string, IReadOnlyList<string>>? Given { get; }

    /// <summary>The texts that say nothing, by which it is calibrated; null for none.</summary>
    public virtual IReadOnlyList<string>? Bare => null;
}

/// <summary>The words that stand for each label; a label's score is the mean of its words'.</summary>
/// <param name="Words">The words of each label, as they stand in the text; the label itself when left out.</param>
/// <param name="Read">How a word of several tokens is read.</param>
/// <param name="ContentFree">Texts that say nothing, such as <c>N/A</c>: each is put in the place of every field, and the words'
/// probabilities are divided by their mean probabilities there (Zhao et al. 2021). No calibration when left out.</param>
public sealed record WordsSpec(
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Words = null,
    WordReading Read = WordReading.First,
    IReadOnlyList<string>? ContentFree = null) : VerbalizerSpec
{
    /// <inheritdoc/>
    public override string Kind => "words";

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, IReadOnlyList<string>>? Given => Words;

    /// <inheritdoc/>
    public override IReadOnlyList<string>? Bare => ContentFree;
}

/// <summary>
/// A learned vector for each label in the place of words' rows in the output head (WARP: Hambardzumyan et al. 2021). It starts as the mean
/// of the rows of the label's words, with the head's bias and scale, so that the first scores are those of the words.
/// </summary>
/// <param name="Words">The words of each label that its vector starts from; the label itself when left out.</param>
public sealed record SoftLabelsSpec(IReadOnlyDictionary<string, IReadOnlyList<string>>? Words = null) : VerbalizerSpec
{
    /// <inheritdoc/>
    public override string Kind => "soft";

    /// <inheritdoc/>
    public override bool Learns => true;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, IReadOnlyList<string>>? Given => Words;
}
