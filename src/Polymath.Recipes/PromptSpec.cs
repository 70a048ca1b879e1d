namespace Polymath.Recipes;

/// <summary>
/// Prompt learning: a template asks, and a verbalizer reads the answer from the language-model head (Schick &amp; Schütze 2021).
/// </summary>
/// <param name="Template">The prompt: text in which <c>{field}</c> stands for a field's value and <c>{mask}</c>, once, for the answer.
/// Filters may change a field (<c>{text|lower}</c>), and <c>{text|whole}</c> is never cut.</param>
/// <param name="Verbalizer">The words that stand for each label.</param>
/// <param name="Train">What is trained: every weight when left out.</param>
/// <param name="Cut">Where the fields of a row that is too long are cut; the template and the answer's place never are.</param>
public sealed record PromptMethod(
    string Template,
    VerbalizerSpec Verbalizer,
    MethodSpec? Train = null,
    CutSide Cut = CutSide.Tail) : MethodSpec
{
    /// <inheritdoc/>
    public override string Kind => "prompt";
}

/// <summary>The words that stand for each label; a label's score is the mean of its words'.</summary>
/// <param name="Words">The words of each label, as they stand in the text; the label itself when left out.</param>
/// <param name="Read">How a word of several tokens is read.</param>
/// <param name="ContentFree">Texts that say nothing, such as <c>N/A</c>: each is put in the place of every field, and the words'
/// probabilities are divided by their mean probabilities there (Zhao et al. 2021). No calibration when left out.</param>
public sealed record VerbalizerSpec(
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Words = null,
    WordReading Read = WordReading.First,
    IReadOnlyList<string>? ContentFree = null);

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
