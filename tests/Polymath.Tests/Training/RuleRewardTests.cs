using Polymath.Recipes;
using Polymath.Tests.Text;
using Polymath.Training.Rewards;

namespace Polymath.Tests.Training;

/// <summary>The declared rules, by values that were worked out by hand.</summary>
[Trait("kind", "unit")]
public sealed class RuleRewardTests : IDisposable
{
    private static readonly Dictionary<string, string> none = [];
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(Equality.Exact, null, " New  York\n", "New York", 1)]
    [InlineData(Equality.Exact, null, "new york", "New York", 0)]
    [InlineData(Equality.Number, null, "so 12 + 30 = 42.", "42", 1)]
    [InlineData(Equality.Number, null, "It costs $1,234.50 in all", "1234.5", 1)]
    [InlineData(Equality.Number, null, "-7", "7", 0)]
    [InlineData(Equality.Number, null, "none", "0", 0)]
    [InlineData(Equality.Number, "#### (?<answer>.+)", "1 + 1\n#### 3\nor 9", "3", 1)]
    [InlineData(Equality.Number, "#### (?<answer>.+)", "3", "3", 0)]
    [InlineData(Equality.Choice, null, "The answer is (B).", "B", 1)]
    [InlineData(Equality.Choice, null, "A? No: C", "C", 1)]
    [InlineData(Equality.Choice, null, "Because", "B", 0)]
    [InlineData(Equality.F1, null, "The cat sat", "a cat sat down", 0.8)]
    [InlineData(Equality.F1, null, "白日依山", "白日依山尽", 8.0 / 9)]
    [InlineData(Equality.F1, null, "", "x", 0)]
    public void An_answer_is_compared_with_the_right_one(
        Equality by,
        string? find,
        string answer,
        string right,
        double score)
    {
        using var reward = new EqualReward(new EqualRewardSpec("right", by, find));
        Assert.Equal(score, reward.Score(answer, new Dictionary<string, string> { ["right"] = right }), 1e-9);
        Assert.Equal(0, reward.Score(answer, none));
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("ab", 0.5)]
    [InlineData("abcd", 1)]
    [InlineData("abcdef", 1)]
    [InlineData("abcdefghijkl", 0.5)]
    public void A_length_out_of_bounds_scores_less(string answer, double score)
    {
        using var reward = new LengthReward(new LengthRewardSpec(4, 6));
        Assert.Equal(score, reward.Score(answer, none));
    }

    [Theory]
    [InlineData("a b c d", TextUnit.Words, 2, 1)]
    [InlineData("a b a b a", TextUnit.Words, 2, 0.5)]
    [InlineData("aaaa", TextUnit.Characters, 2, 1.0 / 3)]
    [InlineData("a", TextUnit.Characters, 2, 1)]
    public void What_is_said_twice_scores_less(string answer, TextUnit unit, int n, double score)
    {
        using var reward = new RepetitionReward(new RepetitionRewardSpec(n, unit));
        Assert.Equal(score, reward.Score(answer, none), 1e-9);
    }

    [Theory]
    [InlineData("白日，依山 ok", Script.Han, 4.0 / 6)]
    [InlineData("hello, 42 мир", Script.Cyrillic, 3.0 / 8)]
    [InlineData("123 !?", Script.Latin, 0)]
    [InlineData("かな漢字", Script.Japanese, 1)]
    [InlineData("한국어", Script.Hangul, 1)]
    public void The_letters_of_a_script_are_counted(string answer, Script script, double score)
    {
        using var reward = new ScriptReward(new ScriptRewardSpec(script));
        Assert.Equal(score, reward.Score(answer, none), 1e-9);
    }

    [Theory]
    [InlineData("""{"a": 1}""", 1)]
    [InlineData("""{"a": "x"}""", 0)]
    [InlineData("""{"a": 1""", 0)]
    [InlineData("Here:\n```json\n{\"a\": 2}\n```\nDone.", 1)]
    public void Json_must_be_as_the_schema_says(string answer, double score)
    {
        File.WriteAllText(folder.At("a.json"), """{"type": "object", "required": ["a"], "properties": {"a": {"type": "number"}}}""");
        using var reward = new JsonReward(new JsonRewardSpec("a.json"), folder.Path);
        Assert.Equal(score, reward.Score(answer, none));
        File.WriteAllText(folder.At("b.json"), "{");
        Assert.Contains("b.json", Assert.Throws<InputException>(() => new JsonReward(new JsonRewardSpec("b.json"), folder.Path)).Message);
    }
}
