using Polymath.Recipes;
using Polymath.Training.Rewards;

namespace Polymath.Tests.Training;

/// <summary>Rewards of form.</summary>
[Trait("kind", "unit")]
public sealed class PatternRewardTests
{
    private const string SameLineTwice = @"(?:^|[，。])([^，。]+)[，。](?:.*[，。])?\1[，。]";

    private static readonly PatternRewardSpec Quatrains = new(
        new Dictionary<string, string> { ["五言"] = "([^，。]{5}，[^，。]{5}。){2}", ["*"] = "([^，。]{7}，[^，。]{7}。){2}" },
        "form",
        SameLineTwice);

    [Theory]
    [InlineData("五言", "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。", 1)]
    [InlineData("五言", "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。\n", 0)]
    [InlineData("五言", "詩：白日依山盡，黃河入海流。欲窮千里目，更上一層樓。", 0)]
    [InlineData("五言", "白日依山盡，黃河入海流。欲窮千里目，白日依山盡。", 0)]
    [InlineData("五言", "白日依山盡，黃河入海。欲窮千里目，更上一層樓。", 0)]
    [InlineData("七言", "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。", 0)]
    [InlineData("七言", "朝辭白帝彩雲間，千里江陵一日還。兩岸猿聲啼不住，輕舟已過萬重山。", 1)]
    [InlineData("五言", "", 0)]
    public void The_whole_answer_must_have_the_form_its_field_asks_for(string form, string answer, double score) =>
        Assert.Equal(score, Of(Quatrains).Score(answer, new Dictionary<string, string> { ["form"] = form }));

    [Fact]
    public void The_star_serves_rows_without_the_field_and_no_pattern_scores_nothing()
    {
        var none = new Dictionary<string, string>();
        Assert.Equal(1, Of(Quatrains).Score("朝辭白帝彩雲間，千里江陵一日還。兩岸猿聲啼不住，輕舟已過萬重山。", none));
        Assert.Equal(0, Of(new PatternRewardSpec(new Dictionary<string, string> { ["a"] = ".*" }, "form")).Score("x", none));
        Assert.Equal(1, Of(new PatternRewardSpec(new Dictionary<string, string> { ["*"] = "a|ab" })).Score("ab", none));
    }

    [Fact]
    public void A_pattern_that_takes_too_long_scores_nothing()
    {
        var endless = Of(new PatternRewardSpec(new Dictionary<string, string> { ["*"] = "(a+)+b" }));
        Assert.Equal(0, endless.Score(new string('a', 60), new Dictionary<string, string>()));
    }

    private static PatternReward Of(PatternRewardSpec spec) => new(spec);
}
