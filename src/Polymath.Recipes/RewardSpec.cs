namespace Polymath.Recipes;

/// <summary>
/// A reward model: a head of one score over the conversation's last token learns which of two answers people prefer (Bradley-Terry;
/// Ouyang et al. 2022). It reads pairs (shape <c>preference</c>); a row's <c>margin</c> says by how much the chosen answer is better
/// (Touvron et al. 2023, eq. 2). The stages after it go on from the model before it.
/// </summary>
/// <param name="Centering">The weight of the squared sum of both scores, which keeps them around 0 (Eisenstein et al. 2023).</param>
/// <param name="Process">For a model that rewards each step of an answer (process rewards; Lightman et al. 2023): rows have a
/// <c>prompt</c>, a list of steps <c>completions</c>, and for each step whether it is right, <c>labels</c>. Pairs are read when left
/// out.</param>
public sealed record RewardModelSpec(
    [Bounds(0, 1000)] double Centering = 0,
    StepLabelsSpec? Process = null) : ObjectiveSpec
{
    /// <summary>The name of the score in the model's folder.</summary>
    public const string Score = "reward";

    /// <summary>The names of the labels of a step.</summary>
    public static IReadOnlyList<string> StepNames { get; } = ["bad", "good"];

    /// <inheritdoc/>
    public override string Kind => "reward";
}

/// <summary>How the steps of an answer are laid out.</summary>
/// <param name="Separator">What stands behind each step; the last token of it is where the step is judged.</param>
/// <param name="LastOnly">Whether only the last step of each row is learned.</param>
public sealed record StepLabelsSpec(
    string Separator = "\n",
    bool LastOnly = false);

/// <summary>How the probabilities that steps are right become one reward.</summary>
public enum StepSum
{
    /// <summary>The least of them.</summary>
    Least,

    /// <summary>Their product.</summary>
    Product,

    /// <summary>Their mean.</summary>
    Mean,

    /// <summary>That of the last step.</summary>
    Last,
}

/// <summary>A score of an answer. Rules are between 0 and 1; a program or a model may give any number.</summary>
[Case("kind", "pattern", typeof(PatternRewardSpec))]
[Case("kind", "characterClasses", typeof(CharacterClassRewardSpec))]
[Case("kind", "rhyme", typeof(RhymeRewardSpec))]
[Case("kind", "equal", typeof(EqualRewardSpec))]
[Case("kind", "length", typeof(LengthRewardSpec))]
[Case("kind", "repetition", typeof(RepetitionRewardSpec))]
[Case("kind", "script", typeof(ScriptRewardSpec))]
[Case("kind", "json", typeof(JsonRewardSpec))]
[Case("kind", "program", typeof(ProgramRewardSpec))]
[Case("kind", "model", typeof(ModelRewardSpec))]
[Case("kind", "judge", typeof(JudgeRewardSpec))]
public abstract record RewardSpec;

/// <summary>1 when the whole answer has the asked form, else 0.</summary>
/// <param name="Match">The pattern for each value of <paramref name="By"/>; <c>*</c> stands for every other value. The whole answer must
/// match.</param>
/// <param name="By">The field that chooses the pattern.</param>
/// <param name="Lacks">A pattern that must not be found.</param>
public sealed record PatternRewardSpec(
    [Means(Meaning.Pattern)] IReadOnlyDictionary<string, string> Match,
    string? By = null,
    [Means(Meaning.Pattern)] string? Lacks = null) : RewardSpec;

/// <summary>How the classes of neighbouring places must agree.</summary>
public enum ClassRule
{
    /// <summary>No rule.</summary>
    Free,

    /// <summary>Neighbours are of the same class.</summary>
    Same,

    /// <summary>Neighbours are of different classes.</summary>
    Differ,
}

/// <summary>
/// The share of groups of lines whose characters' classes keep the rules, such as the level and oblique tones of regulated verse.
/// </summary>
/// <param name="Table">The table of classes.</param>
/// <param name="Positions">The places in a line that count, from 1; places beyond a line's end do not count.</param>
/// <param name="Line">A pattern that finds the lines.</param>
/// <param name="Group">The lines of a group (2: couplets); an incomplete group breaks the rules.</param>
/// <param name="Within">How neighbouring places within a line must agree.</param>
/// <param name="Across">How the same place in neighbouring lines of a group must agree.</param>
public sealed record CharacterClassRewardSpec(
    [Means(Meaning.TableName)] string Table,
    IReadOnlyList<int> Positions,
    [Means(Meaning.Pattern)] string Line = @"[^，。？！；\s]+",
    [Bounds(1, 1000)] int Group = 2,
    ClassRule Within = ClassRule.Differ,
    ClassRule Across = ClassRule.Differ) : RewardSpec;

/// <summary>
/// The share of the rhyming lines whose last characters are of one class: of n such lines, the different characters of the most frequent
/// class less one, of n − 1. A line that repeats a character does not rhyme, and a character without a class rhymes with none.
/// </summary>
/// <param name="Table">The table of classes, such as finals: <c>readings</c>.</param>
/// <param name="Every">Which lines rhyme: every second one when left out.</param>
/// <param name="Line">A pattern that finds the lines.</param>
public sealed record RhymeRewardSpec(
    [Means(Meaning.TableName)] string Table,
    [Bounds(1, 1000)] int Every = 2,
    [Means(Meaning.Pattern)] string Line = @"[^，。？！；\s]+") : RewardSpec;

/// <summary>How an answer is compared with the right one.</summary>
public enum Equality
{
    /// <summary>The same text; white space at the ends and runs of it inside do not count.</summary>
    Exact,

    /// <summary>The same number: the last one of each text, thousands separators and currency left out.</summary>
    Number,

    /// <summary>The same choice: the last single capital letter, such as <c>B</c> or <c>(B)</c>.</summary>
    Choice,

    /// <summary>The F1 of their words (SQuAD); of their characters where they have no spaces.</summary>
    F1,
}

/// <summary>How well an answer equals the right one, which stands in a field of its row.</summary>
/// <param name="Field">The field.</param>
/// <param name="By">How they are compared.</param>
/// <param name="Find">A pattern that finds the part that counts in the answer: its group <c>answer</c>, or the whole match. The last match
/// counts; without one the reward is 0.</param>
public sealed record EqualRewardSpec(
    string Field,
    Equality By = Equality.Exact,
    [Means(Meaning.Pattern)] string? Find = null) : RewardSpec;

/// <summary>The units of a text.</summary>
public enum TextUnit
{
    /// <summary>Characters.</summary>
    Characters,

    /// <summary>Words between white space.</summary>
    Words,
}

/// <summary>1 for an answer of the asked length; shorter ones in proportion, longer ones by how much too long they are.</summary>
/// <param name="Least">The least length.</param>
/// <param name="Most">The greatest length.</param>
/// <param name="Unit">What is counted.</param>
public sealed record LengthRewardSpec(
    [Bounds(0, 10000000)] int Least = 0,
    [Bounds(1, 10000000)] int? Most = null,
    TextUnit Unit = TextUnit.Characters) : RewardSpec;

/// <summary>The share of different n-grams among all of an answer: 1 where nothing is said twice.</summary>
/// <param name="N">The length of the n-grams.</param>
/// <param name="Unit">What they are made of.</param>
public sealed record RepetitionRewardSpec(
    [Bounds(1, 100)] int N = 4,
    TextUnit Unit = TextUnit.Characters) : RewardSpec;

/// <summary>The writing of a language.</summary>
public enum Script
{
    /// <summary>Chinese characters.</summary>
    Han,

    /// <summary>Latin letters.</summary>
    Latin,

    /// <summary>Cyrillic letters.</summary>
    Cyrillic,

    /// <summary>Japanese: kana, and the characters beside them.</summary>
    Japanese,

    /// <summary>Korean: Hangul.</summary>
    Hangul,

    /// <summary>Arabic letters.</summary>
    Arabic,

    /// <summary>Greek letters.</summary>
    Greek,

    /// <summary>Hebrew letters.</summary>
    Hebrew,

    /// <summary>Devanagari letters.</summary>
    Devanagari,

    /// <summary>Thai letters.</summary>
    Thai,
}

/// <summary>The share of an answer's letters that belong to a script; 0 for an answer without letters.</summary>
/// <param name="Script">The script.</param>
public sealed record ScriptRewardSpec(Script Script) : RewardSpec;

/// <summary>1 for an answer that is JSON, and is as a schema says, else 0.</summary>
/// <param name="Schema">A file with a JSON schema; any JSON counts when left out.</param>
/// <param name="Fenced">Whether the JSON may stand in a code block; then the last block counts.</param>
public sealed record JsonRewardSpec(
    [Means(Meaning.Files)] string? Schema = null,
    bool Fenced = true) : RewardSpec;

/// <summary>
/// A program of one's own. It reads one JSON object a line, <c>{"prompt": ..., "answer": ..., "fields": {...}}</c>, and answers each with
/// a line <c>{"score": NUMBER}</c>, or <c>{"score": null}</c> for no reward. It runs until its input ends.
/// </summary>
/// <param name="Command">The program and its arguments; a file's path is relative to the recipe.</param>
/// <param name="Seconds">The time limit of an answer; a program that takes longer is ended and started again.</param>
/// <param name="Workers">How many run at once.</param>
/// <param name="Failure">The reward of an answer that the program fails on: one that takes too long, an exit, or a line that is not
/// understood. No reward when left out.</param>
public sealed record ProgramRewardSpec(
    IReadOnlyList<string> Command,
    [Bounds(0.001, 86400)] double Seconds = 10,
    [Bounds(1, 256)] int Workers = 1,
    double? Failure = null) : RewardSpec;

/// <summary>
/// What a model with a head over labels says of the conversation: its score where it is a reward model, else the probability of a label.
/// </summary>
/// <param name="Stage">The earlier stage whose model it is.</param>
/// <param name="Folder">The model's folder, or its address on a hub, in place of a stage.</param>
/// <param name="Label">The label whose probability is the reward; needed where the head has several.</param>
/// <param name="Steps">For a model that rewards each step, how the steps become one reward.</param>
/// <param name="Separator">For such a model, what stands between the steps of an answer; what its stage has, or a line's end, when left
/// out.</param>
public sealed record ModelRewardSpec(
    [Means(Meaning.StageName)] string? Stage = null,
    [Means(Meaning.Folder)] string? Folder = null,
    string? Label = null,
    StepSum Steps = StepSum.Least,
    string? Separator = null) : RewardSpec;

/// <summary>
/// What a language model says of an answer when it is asked: the words it may answer with have values, and the reward is their mean,
/// weighted by the probabilities that the model gives them.
/// </summary>
/// <param name="Prompt">The question: text in which <c>{prompt}</c> and <c>{answer}</c> stand for what was asked and answered, and
/// <c>{field}</c> for a field of the row.</param>
/// <param name="Words">The words and their values, such as <c>{yes: 1, no: 0}</c>. The first token of each is read.</param>
/// <param name="Stage">The earlier stage whose model it is.</param>
/// <param name="Folder">The model's folder, or its address on a hub, in place of a stage.</param>
public sealed record JudgeRewardSpec(
    string Prompt,
    IReadOnlyDictionary<string, double> Words,
    [Means(Meaning.StageName)] string? Stage = null,
    [Means(Meaning.Folder)] string? Folder = null) : RewardSpec;
