namespace Polymath.Recipes;

/// <summary>How labels are read where a prompt's answer stands; written words are meant where <c>kind</c> is left out.</summary>
[Case("kind", "words", typeof(WordsSpec), IsDefault = true)]
[Case("kind", "oneToOne", typeof(OneToOneSpec))]
[Case("kind", "soft", typeof(SoftLabelsSpec))]
[Case("kind", "prototypes", typeof(PrototypesSpec))]
[Case("kind", "knowledge", typeof(KnowledgeSpec))]
[Case("kind", "search", typeof(WordSearchSpec))]
[Case("kind", "rules", typeof(RulesSpec))]
[Case("kind", "texts", typeof(TextsSpec))]
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

    /// <summary>The fields that its texts ask for.</summary>
    public virtual IReadOnlyList<string> Fields => [];

    /// <summary>Texts that say nothing, by which it is calibrated, in short; null for none.</summary>
    public virtual IReadOnlyList<string>? Bare => null;

    /// <summary>By what it is calibrated; null for nothing.</summary>
    public virtual CalibrationSpec? Calibration => null;
}

/// <summary>The words that stand for each label; a label's score is the mean of its words'.</summary>
/// <param name="Words">The words of each label, as they stand in the text; the label itself when left out.</param>
/// <param name="Read">How a word of several tokens is read.</param>
/// <param name="ContentFree">Texts that say nothing, such as <c>N/A</c>: the short form of <c>calibrate: {kind: contentFree}</c>.</param>
/// <param name="Calibrate">What the words' probabilities are divided by; nothing when left out.</param>
public sealed record WordsSpec(
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Words = null,
    WordReading Read = WordReading.First,
    IReadOnlyList<string>? ContentFree = null,
    CalibrationSpec? Calibrate = null) : VerbalizerSpec
{
    /// <inheritdoc/>
    public override string Kind => "words";

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, IReadOnlyList<string>>? Given => Words;

    /// <inheritdoc/>
    public override IReadOnlyList<string>? Bare => ContentFree;

    /// <inheritdoc/>
    public override CalibrationSpec? Calibration => Calibrate ?? (ContentFree is null ? null : new ContentFreeSpec(ContentFree));
}

/// <summary>One word for each label, and no more.</summary>
/// <param name="Words">The word of each label, as it stands in the text; the label itself when left out.</param>
/// <param name="Read">How a word of several tokens is read.</param>
/// <param name="Calibrate">What the words' probabilities are divided by; nothing when left out.</param>
public sealed record OneToOneSpec(
    IReadOnlyDictionary<string, string>? Words = null,
    WordReading Read = WordReading.First,
    CalibrationSpec? Calibrate = null) : VerbalizerSpec
{
    /// <inheritdoc/>
    public override string Kind => "oneToOne";

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, IReadOnlyList<string>>? Given =>
        Words?.ToDictionary(pair => pair.Key, pair => (IReadOnlyList<string>)[pair.Value]);

    /// <inheritdoc/>
    public override CalibrationSpec? Calibration => Calibrate;
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

/// <summary>
/// Prototypes (ProtoVerb: Cui et al. 2022): the states where answers are read are mapped to a small space, in which each label has a
/// prototype; a label's score is the cosine with it. Before the first step, map and prototypes learn from training rows by two contrastive
/// losses; then they are trained with the stage. Beside them, the label's words are read.
/// </summary>
/// <param name="Words">The words of each label; the label itself when left out.</param>
/// <param name="Read">How a word of several tokens is read.</param>
/// <param name="Width">The width of the small space.</param>
/// <param name="Each">How many training rows of each label the start learns from; as many as the rarest label has, at most.</param>
/// <param name="Epochs">How many steps the start takes.</param>
/// <param name="StartRate">The learning rate of the start.</param>
/// <param name="Sharpness">What cosines are multiplied with.</param>
/// <param name="Beside">The share of the words' log-probabilities in a label's score; 0 for prototypes alone.</param>
public sealed record PrototypesSpec(
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Words = null,
    WordReading Read = WordReading.First,
    [Bounds(1, 65536)] int Width = 64,
    [Bounds(1, 10000)] int Each = 16,
    [Bounds(0, 10000)] int Epochs = 30,
    [Bounds(0, 10)] double StartRate = 0.01,
    [Bounds(0.001, 1000)] double Sharpness = 5,
    [Bounds(0, 0.999)] double Beside = 0.5) : VerbalizerSpec
{
    /// <inheritdoc/>
    public override string Kind => "prototypes";

    /// <inheritdoc/>
    public override bool Learns => true;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, IReadOnlyList<string>>? Given => Words;
}

/// <summary>
/// Many words for each label from a knowledge base (KPT: Hu et al. 2022). Before the first step they are refined by training rows without
/// their labels: words of too many tokens go, and words that two labels share; then the improbable ones, and those that are not near to
/// their own label alone. What is left has learned weights, and is divided by its mean probability over those rows.
/// </summary>
/// <param name="Words">The first words of each label, which related ones are found for; the label itself when left out.</param>
/// <param name="Table">A table of the kind <c>wordnet</c> or <c>synonyms</c> that knows related words.</param>
/// <param name="File">A file with the words of each label, in OpenPrompt's formats: .txt, .csv, .json or .jsonl.</param>
/// <param name="Most">The most words of each label before they are refined.</param>
/// <param name="Senses">How many senses of a word count, the usual ones first.</param>
/// <param name="MostTokens">The most tokens of a word.</param>
/// <param name="Rows">How many training rows refine the words.</param>
/// <param name="LeastShare">The share of the vocabulary, its least probable part over those rows, whose words go.</param>
/// <param name="Relevance">Whether words go that are not near to their own label alone.</param>
/// <param name="Learn">Whether each word has a weight that is trained.</param>
/// <param name="Read">How a word of several tokens is read.</param>
/// <param name="Calibrate">What the words' probabilities are divided by; their mean over the training rows when left out.</param>
public sealed record KnowledgeSpec(
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Words = null,
    [Means(Meaning.TableName)] string? Table = null,
    [Means(Meaning.Files)] string? File = null,
    [Bounds(1, 100000)] int Most = 100,
    [Bounds(1, 100)] int Senses = 3,
    [Bounds(1, 100)] int MostTokens = 1,
    [Bounds(1, 100000)] int Rows = 200,
    [Bounds(0, 0.999)] double LeastShare = 0.5,
    bool Relevance = true,
    bool Learn = true,
    WordReading Read = WordReading.Mean,
    CalibrationSpec? Calibrate = null) : VerbalizerSpec
{
    /// <inheritdoc/>
    public override string Kind => "knowledge";

    /// <inheritdoc/>
    public override bool Learns => Learn;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, IReadOnlyList<string>>? Given => Words;

    /// <inheritdoc/>
    public override CalibrationSpec? Calibration => Calibrate ?? new ContextualSpec(Rows);
}

/// <summary>
/// Words that are found for each label before the first step, from the model's own probabilities over labelled training rows (PETAL:
/// Schick, Schmid &amp; Schütze 2020).
/// </summary>
/// <param name="Each">How many words each label gets.</param>
/// <param name="Score">How a word is scored for a label.</param>
/// <param name="Balanced">Whether the other labels' rows weigh together as much as the label's own.</param>
/// <param name="Candidates">How many words are scored, those that are most probable over the label's rows; 0 for all.</param>
/// <param name="Rows">How many training rows are looked at.</param>
/// <param name="Calibrate">What the words' probabilities are divided by; nothing when left out.</param>
public sealed record WordSearchSpec(
    [Bounds(1, 1000)] int Each = 1,
    FoundBy Score = FoundBy.Ratio,
    bool Balanced = true,
    [Bounds(0, 10000000)] int Candidates = 1000,
    [Bounds(1, 1000000)] int Rows = 200,
    CalibrationSpec? Calibrate = null) : VerbalizerSpec
{
    /// <inheritdoc/>
    public override string Kind => "search";

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, IReadOnlyList<string>>? Given => null;

    /// <inheritdoc/>
    public override CalibrationSpec? Calibration => Calibrate;
}

/// <summary>How a word is scored for a label.</summary>
public enum FoundBy
{
    /// <summary>The ratio of likelihoods: log p/(1−p) over the label's rows, less the same over the others.</summary>
    Ratio,

    /// <summary>The cross-entropy of telling the label from the others.</summary>
    CrossEntropy,
}

/// <summary>
/// Rules (PTR: Han et al. 2021): a label is a conjunction of words, one at each mask of the template; its score is the sum of their logits.
/// </summary>
/// <param name="Words">For each label, its word at each mask, in order; all labels have as many.</param>
public sealed record RulesSpec(IReadOnlyDictionary<string, IReadOnlyList<string>> Words) : VerbalizerSpec
{
    /// <inheritdoc/>
    public override string Kind => "rules";

    /// <inheritdoc/>
    public override int Answers => Words?.Values.FirstOrDefault()?.Count ?? 1;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, IReadOnlyList<string>>? Given => Words;
}

/// <summary>
/// Whole texts as answers: a label's score is how likely the model is to write one of its texts behind the prompt. For models that write.
/// </summary>
/// <param name="Texts">The texts of each label, any of which is right, in which <c>{field}</c> stands for a field's value; the label itself
/// when left out.</param>
/// <param name="Read">Whether a text's log-probability is the mean over its tokens or their sum.</param>
public sealed record TextsSpec(
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Texts = null,
    TextReading Read = TextReading.Mean) : VerbalizerSpec
{
    /// <inheritdoc/>
    public override string Kind => "texts";

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, IReadOnlyList<string>>? Given => Texts;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Fields =>
        [.. (Texts?.Values ?? []).SelectMany(texts => texts ?? []).SelectMany(TemplateFields.In).Distinct()];
}

/// <summary>How the tokens of one text become one number.</summary>
public enum TextReading
{
    /// <summary>The mean of their log-probabilities, so that long texts are as likely as short ones.</summary>
    Mean,

    /// <summary>The sum of their log-probabilities.</summary>
    Sum,
}

/// <summary>What the probabilities of words are divided by: what the model says without a row's content.</summary>
[Case("kind", "contentFree", typeof(ContentFreeSpec))]
[Case("kind", "contextual", typeof(ContextualSpec))]
[Case("kind", "domain", typeof(DomainSpec))]
[Case("kind", "pmi", typeof(PmiSpec))]
public abstract record CalibrationSpec
{
    /// <summary>The kind's name, as recipes write it.</summary>
    public abstract string Kind { get; }
}

/// <summary>The words' mean probabilities where texts that say nothing stand in the place of every field (Zhao et al. 2021).</summary>
/// <param name="Texts">The texts, such as <c>N/A</c>.</param>
public sealed record ContentFreeSpec(IReadOnlyList<string> Texts) : CalibrationSpec
{
    /// <inheritdoc/>
    public override string Kind => "contentFree";
}

/// <summary>
/// The words' mean probabilities over training rows (Hu et al. 2022, eq. 2), of the model as it is before the first step.
/// </summary>
/// <param name="Rows">How many rows.</param>
public sealed record ContextualSpec([Bounds(1, 1000000)] int Rows = 200) : CalibrationSpec
{
    /// <inheritdoc/>
    public override string Kind => "contextual";
}

/// <summary>The words' probabilities behind a text that names only the domain (PMI-DC: Holtzman et al. 2021).</summary>
/// <param name="Text">The text, with <c>{mask}</c> and without fields.</param>
public sealed record DomainSpec(string Text) : CalibrationSpec
{
    /// <inheritdoc/>
    public override string Kind => "domain";
}

/// <summary>The words' probabilities with nothing around them: pointwise mutual information.</summary>
public sealed record PmiSpec : CalibrationSpec
{
    /// <inheritdoc/>
    public override string Kind => "pmi";
}
