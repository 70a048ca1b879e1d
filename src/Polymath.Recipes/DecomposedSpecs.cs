namespace Polymath.Recipes;

/// <summary>
/// A tagging task that is asked span by span (template-based named entity recognition: Cui et al. 2021): every span of a sentence is a
/// question of its own, whose answer is a kind of entity or none. The template names the span as <c>{span}</c>.
/// </summary>
/// <param name="Words">The field with a row's words: a list, or a text whose words stand between white space. In the template it stands
/// for the whole sentence.</param>
/// <param name="MaxWords">The most words of a span.</param>
/// <param name="None">The label of a span that is no entity, as the verbalizer names it.</param>
/// <param name="Ratio">How many spans that are no entity are trained for each one that is.</param>
/// <param name="Join">What stands between two words in a prompt; nothing for scripts without spaces, and then each character of a text is a
/// word.</param>
/// <param name="Names">The tag of each number, where a row's tags are numbers.</param>
public sealed record SpansSpec(
    string Words = "tokens",
    [Bounds(1, 1000)] int MaxWords = 8,
    string None = "O",
    [Bounds(0, 10000)] double Ratio = 1.5,
    string Join = " ",
    IReadOnlyList<string>? Names = null)
{
    /// <summary>The name that stands for the span in a template.</summary>
    public const string Span = "span";
}

/// <summary>
/// A question of a chain: it is asked before the stage's own prompt, and later templates have its answer under its name.
/// </summary>
/// <param name="Name">The name of its answer in later templates.</param>
/// <param name="Template">The prompt; it may name the answers of earlier questions.</param>
/// <param name="Verbalizer">How its answer is read; its labels are those that it has words for.</param>
/// <param name="Tokens">The most tokens of an answer that the model writes; instead of <paramref name="Verbalizer"/>.</param>
/// <param name="Answer">The field with the right answer, by which the question is trained, and which later questions are asked with in
/// training; the model's own answer from before the first step where it is left out, or a row has none.</param>
/// <param name="Cut">Where the fields of a row that is too long are cut.</param>
public sealed record QuestionSpec(
    string Name,
    string Template,
    VerbalizerSpec? Verbalizer = null,
    [Bounds(1, 1000)] int? Tokens = null,
    string? Answer = null,
    CutSide? Cut = null)
{
    /// <summary>How its answer is read; words where nothing is said.</summary>
    public VerbalizerSpec Read => Verbalizer ?? new WordsSpec();

    /// <summary>The field with the right answer in a row that has it; null for none.</summary>
    /// <param name="fields">The row's fields.</param>
    public string? Given(IReadOnlyDictionary<string, string> fields)
    {
        ArgumentNullException.ThrowIfNull(fields);
        return Answer is not null && fields.GetValueOrDefault(Answer) is { Length: > 0 } value ? value : null;
    }
}
