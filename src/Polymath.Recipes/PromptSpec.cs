namespace Polymath.Recipes;

/// <summary>
/// Prompt learning: a template asks, and a verbalizer reads the answer from the language-model head (Schick &amp; Schütze 2021).
/// </summary>
/// <param name="Template">The prompt: text in which <c>{field}</c> stands for a field's value, <c>{mask}</c> for the answer, and
/// <c>{soft}</c> for a token whose vector is learned. Filters may change a field (<c>{text|lower}</c>), and <c>{text|whole}</c> is never
/// cut. Left out where <paramref name="Prompts"/> names several.</param>
/// <param name="Verbalizer">What stands for each label; the label itself when left out.</param>
/// <param name="Train">What is trained beneath the prompt: every weight when left out. <c>freeze</c> without further settings trains the
/// prompt's own weights alone: its soft tokens, and what its verbalizer learns.</param>
/// <param name="Cut">Where the fields of a row that is too long are cut; the template and the answer's place never are.</param>
/// <param name="Encoder">A network between the soft tokens and the model: P-tuning (Liu et al. 2021).</param>
/// <param name="Prompts">Several prompts that are asked together, each a template, or a template with settings of its own.</param>
/// <param name="Together">How the answers of several prompts become one.</param>
/// <param name="Demonstrations">Training rows with their answers that stand before the question.</param>
/// <param name="Rate">The learning rate of the prompt's own weights at its peak; the stage's when left out.</param>
/// <param name="Spans">Asks for the entities of a sentence, span by span; the stage's label is then the field with the tags.</param>
/// <param name="Chain">Questions that are asked first, one after the other; the template is the last question.</param>
/// <param name="Rules">For each label, the answer to each question of the chain and to the template, which say it together.</param>
/// <param name="Score">Which probability is a label's score: that of its words, or that of the text behind them.</param>
public sealed record PromptMethod(
    string? Template = null,
    VerbalizerSpec? Verbalizer = null,
    MethodSpec? Train = null,
    CutSide Cut = CutSide.Tail,
    SoftEncoder? Encoder = null,
    IReadOnlyList<AskSpec>? Prompts = null,
    PromptsTogether Together = PromptsTogether.Mean,
    DemonstrationsSpec? Demonstrations = null,
    [Bounds(0, 100)] double? Rate = null,
    SpansSpec? Spans = null,
    IReadOnlyList<QuestionSpec>? Chain = null,
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Rules = null,
    PromptScore Score = PromptScore.Direct) : MethodSpec
{
    /// <inheritdoc/>
    public override string Kind => "prompt";

    /// <summary>The names in its templates that are no fields of a row.</summary>
    public IReadOnlyList<string> Made =>
        [.. Spans is null ? Array.Empty<string>() : [SpansSpec.Span], .. (Chain ?? []).Select(question => question.Name)];

    /// <summary>The prompts, each with all its settings.</summary>
    public IReadOnlyList<AskSpec> Asks() =>
    [
        .. (Prompts ?? [new AskSpec(Template ?? "")]).Select(ask => ask with
        {
            Template = ask.Template ?? "",
            Verbalizer = ask.Verbalizer ?? Verbalizer ?? new WordsSpec(),
            Cut = ask.Cut ?? Cut,
            Score = ask.Score ?? Score,
            Encoder = ask.Encoder ?? (TemplateFields.HasSoft(ask.Template ?? "") || Prompts is null ? Encoder : null),
        }),
    ];

    /// <summary>The key of a prompt's template.</summary>
    /// <param name="ask">The number of the prompt.</param>
    public string KeyOf(int ask) => Prompts is null ? "template" : $"prompts[{ask}].template";

    /// <summary>Whether it looks at training rows with their labels before the first step, or where nothing is trained.</summary>
    public bool LooksAtLabels => Demonstrations is not null || (Together == PromptsTogether.Accuracy && Prompts is { Count: > 1 })
        || Asks().Any(ask => ask.Verbalizer is WordSearchSpec or PrototypesSpec);

    /// <summary>Whether it has weights of its own, which are trained whatever else is.</summary>
    public bool HasWeights => (Together == PromptsTogether.Learned && Prompts is { Count: > 1 })
        || Asks().Any(ask => TemplateFields.HasSoft(ask.Template) || ask.Verbalizer!.Learns)
        || (Chain ?? []).Any(question => TemplateFields.HasSoft(question.Template) || question.Read.Learns);
}

/// <summary>Which probability is a label's score.</summary>
public enum PromptScore
{
    /// <summary>p(words of the label | text).</summary>
    Direct,

    /// <summary>p(text | words of the label): a noisy channel with labels that are equally probable (Min et al. 2022).</summary>
    Channel,
}

/// <summary>How the answers of several prompts become one.</summary>
public enum PromptsTogether
{
    /// <summary>The mean of their probabilities.</summary>
    Mean,

    /// <summary>The mean of their probabilities, weighted by their accuracies over training rows before the first step.</summary>
    Accuracy,

    /// <summary>The mean of their probabilities, with weights that are trained.</summary>
    Learned,

    /// <summary>The label that most of them name; each learns on its own. Where several are named as often, their probabilities
    /// decide.</summary>
    Majority,
}

/// <summary>Training rows with their answers that stand before the question: in-context learning, also while a model is trained (Gao et
/// al. 2021).</summary>
/// <param name="Each">How many of each label.</param>
/// <param name="Like">How they are chosen.</param>
/// <param name="Contexts">How many different sets are asked with, whose probabilities are averaged.</param>
/// <param name="From">How many training rows of each label they are chosen from.</param>
/// <param name="Between">What stands behind each of them.</param>
public sealed record DemonstrationsSpec(
    [Bounds(1, 100)] int Each = 1,
    DemonstrationsLike Like = DemonstrationsLike.Random,
    [Bounds(1, 100)] int Contexts = 1,
    [Bounds(1, 100000)] int From = 32,
    string Between = "\n");

/// <summary>How demonstrations are chosen.</summary>
public enum DemonstrationsLike
{
    /// <summary>At random, by the row and the run's seed.</summary>
    Random,

    /// <summary>Those that share the rarest tokens with the row (BM25: Robertson &amp; Zaragoza 2009).</summary>
    Bm25,

    /// <summary>Those whose mean hidden state is nearest to the row's, by the cosine.</summary>
    Vectors,
}

/// <summary>One prompt of a task.</summary>
/// <param name="Template">The prompt.</param>
/// <param name="Verbalizer">What stands for each label; the method's own when left out.</param>
/// <param name="Cut">Where the fields of a row that is too long are cut; as the method says when left out.</param>
/// <param name="Encoder">A network between the soft tokens and the model; as the method says when left out.</param>
/// <param name="Score">Which probability is a label's score; as the method says when left out.</param>
[Shorthand("template")]
public sealed record AskSpec(
    string Template,
    VerbalizerSpec? Verbalizer = null,
    CutSide? Cut = null,
    SoftEncoder? Encoder = null,
    PromptScore? Score = null)
{
    /// <summary>Fields that are never cut, besides those that the template says.</summary>
    public IReadOnlyList<string> Whole { get; init; } = [];
}

/// <summary>A network between the soft tokens and the model.</summary>
public enum SoftEncoder
{
    /// <summary>Two layers with ReLU, over each token alone.</summary>
    Mlp,

    /// <summary>Two bidirectional LSTM layers over the tokens in their order, and two layers with ReLU.</summary>
    Lstm,
}

/// <summary>Where a prompt that is too long is cut.</summary>
public enum CutSide
{
    /// <summary>At the ends of the last fields, so that their starts are kept.</summary>
    Tail,

    /// <summary>At the starts of the first fields, so that their ends are kept.</summary>
    Head,

    /// <summary>At the end of every field, each in proportion to its length.</summary>
    Balanced,
}

/// <summary>How the tokens of one word become one number.</summary>
public enum WordReading
{
    /// <summary>The logit of its first token.</summary>
    First,

    /// <summary>The largest logit of its tokens.</summary>
    Max,

    /// <summary>The mean of its tokens' logits.</summary>
    Mean,
}
