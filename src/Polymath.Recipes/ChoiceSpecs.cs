namespace Polymath.Recipes;

/// <summary>
/// The share of questions that a model answers right, of rows that bring their own candidates: the candidate with the greatest score is its
/// answer. The model needs no training for it, and no head but the one over words. Scores and formats are those of lm-evaluation-harness.
/// </summary>
/// <param name="Data">The source of the questions.</param>
/// <param name="Format">The format of a published benchmark; it says what the question, the candidates and the answer are.</param>
/// <param name="Question">The question: text in which <c>{field}</c> stands for a field's value.</param>
/// <param name="Choices">The candidates, each a text with fields; or one text with a field that is a list, whose items are the
/// candidates.</param>
/// <param name="Answer">What says the right candidate: a text with fields that gives the candidate itself, its letter, or its number from
/// 0.</param>
/// <param name="Score">How candidates are compared.</param>
/// <param name="Shots">How many solved questions stand before each.</param>
/// <param name="ShotsFrom">The source of the solved questions: its first training rows.</param>
/// <param name="ShotsBy">A field in which solved questions equal the question, such as <c>subject</c>.</param>
/// <param name="Rows">The most rows, drawn by the recipe's seed.</param>
/// <param name="Split">The part of the data; all rows when left out.</param>
/// <param name="MaxNewTokens">The most tokens of an answer that is written (<c>gsm8k</c>).</param>
/// <param name="Before">What stands before the solved questions, with its empty line: text in which <c>{field}</c> stands for a field's
/// value; what the format says when left out.</param>
public sealed record ChoiceAbility(
    [Means(Meaning.DataName)] string Data,
    ChoiceFormat? Format = null,
    string? Question = null,
    IReadOnlyList<string>? Choices = null,
    string? Answer = null,
    ChoiceScore Score = ChoiceScore.Sum,
    [Bounds(0, 100)] int Shots = 0,
    [Means(Meaning.DataName)] string? ShotsFrom = null,
    string? ShotsBy = null,
    [Bounds(1)] int Rows = 1000,
    DataSplit? Split = null,
    [Bounds(1)] int MaxNewTokens = ChoiceAbility.UsualNewTokens,
    string? Before = null) : AbilitySpec
{
    /// <summary>The most tokens of a written answer, where nothing is said.</summary>
    public const int UsualNewTokens = 256;

    /// <inheritdoc/>
    public override bool HigherIsBetter => true;

    /// <inheritdoc/>
    public override string? StageName => null;

    /// <summary>What is asked, without how candidates are compared: abilities in which it is equal ask the same questions.</summary>
    public string Asked => string.Join(
        '\u001f',
        [
            Data, $"{Format}", Question ?? "", .. Choices ?? [], Answer ?? "", $"{Shots}", ShotsFrom ?? "", ShotsBy ?? "", $"{Rows}",
            $"{Split}", $"{MaxNewTokens}", Before ?? "",
        ]);
}

/// <summary>How candidates are compared.</summary>
public enum ChoiceScore
{
    /// <summary>By log p(candidate | question) (<c>acc</c>).</summary>
    Sum,

    /// <summary>By its mean over the candidate's tokens.</summary>
    Token,

    /// <summary>By its mean over the candidate's characters (<c>acc_norm</c>).</summary>
    Character,

    /// <summary>By its mean over the candidate's bytes in UTF-8 (<c>acc_bytes</c>).</summary>
    Byte,

    /// <summary>By log p(candidate | question) − log p(candidate) (<c>acc_mutual_info</c>).</summary>
    Pmi,
}

/// <summary>The formats of published benchmarks.</summary>
public enum ChoiceFormat
{
    /// <summary>MMLU: <c>question</c>, <c>choices</c> or <c>A</c> to <c>D</c>, <c>answer</c>, <c>subject</c>.</summary>
    Mmlu,

    /// <summary>C-Eval: <c>question</c>, <c>A</c> to <c>D</c>, <c>answer</c>.</summary>
    Ceval,

    /// <summary>CMMLU: <c>Question</c>, <c>A</c> to <c>D</c>, <c>Answer</c>.</summary>
    Cmmlu,

    /// <summary>HellaSwag: <c>activity_label</c>, <c>ctx_a</c>, <c>ctx_b</c>, <c>endings</c>, <c>label</c>.</summary>
    Hellaswag,

    /// <summary>PIQA: <c>goal</c>, <c>sol1</c>, <c>sol2</c>, <c>label</c>.</summary>
    Piqa,

    /// <summary>ARC: <c>question</c>, <c>choices</c>, <c>answerKey</c>.</summary>
    Arc,

    /// <summary>GSM8K: <c>question</c>, <c>answer</c>; the model writes, and its last number is compared.</summary>
    Gsm8k,
}
