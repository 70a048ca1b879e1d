using CsCheck;
using Polymath.Recipes;
using Polymath.Training.Rewards;

namespace Polymath.Tests.Training;

/// <summary>Rewards of tones, against couplets worked by hand: p is level, z is oblique, anything else is unknown.</summary>
[Trait("kind", "unit")]
public sealed class CharacterClassRewardTests
{
    private const string Level = "依山黃河流窮千層樓朝辭間江陵還猿聲啼輕舟過重山雲";
    private const string Oblique = "白日盡入海欲里目更上一帝彩兩岸不住已萬";

    private static readonly Dictionary<string, string> None = [];

    [Theory]
    [InlineData("白日依山盡，黃河入海流。欲窮千里目，更上一層樓。", 1)]
    [InlineData("白日依山盡，黃河入海流。", 1)]
    [InlineData("白日依山盡，更上一層樓。欲窮千里目，更上一層樓。", 0.5)] // 日 and 上 are both oblique
    [InlineData("白日依海盡，黃河入海流。欲窮千里目，更上一層樓。", 0.5)] // 日 and 海 are both oblique
    [InlineData("白日依山盡，黃河入海流。欲窮千里目。", 0.5)]
    [InlineData("白日依山盡", 0)]
    [InlineData("，。！", 0)]
    [InlineData("", 0)]
    [InlineData("朝辭白帝彩雲間，千里江陵一日還。", 1)] // 辭帝雲 level oblique level, 里陵日 the other way round
    [InlineData("朝辭白帝彩日間，千里江陵一日還。", 0)] // 帝 and 日 are both oblique
    public void Classical_couplets_score_as_worked_by_hand(string poem, double score) => Assert.Equal(score, Tones().Score(poem, None));

    [Theory]
    [InlineData("xpxzx，xzxpx。", 1)]
    [InlineData("x?xzx，xzxpx。", 1)] // an unknown character matches every class
    [InlineData("x?x?x，xzxzx。", 0)]
    [InlineData("x，xzxpx。", 0)] // the first position is beyond the first line
    [InlineData("xp，xzxpx。", 1)] // position 4 is beyond the first line and is not compared
    [InlineData("xp，xpxzx。", 0)]
    [InlineData("xp，xz。xp，xp。xp，xz。xp", 0.5)]
    [InlineData("\U00020000p\U00020000z，\U00020000zxp", 1)] // characters beyond the basic plane are one place each
    public void Places_are_code_points_and_count_as_far_as_lines_reach(string poem, double score) =>
        Assert.Equal(score, Tones().Score(poem, None));

    [Theory]
    [InlineData(ClassRule.Free, ClassRule.Free, "xpxp，xpxp", 1)]
    [InlineData(ClassRule.Same, ClassRule.Differ, "xpxp，xzxz", 1)]
    [InlineData(ClassRule.Same, ClassRule.Differ, "xpxz，xzxp", 0)]
    [InlineData(ClassRule.Differ, ClassRule.Same, "xpxz，xpxz", 1)]
    [InlineData(ClassRule.Differ, ClassRule.Same, "xpxz，xzxp", 0)]
    [InlineData(ClassRule.Free, ClassRule.Differ, "xpxp，xzxz", 1)]
    public void Each_rule_is_kept_in_its_own_direction(ClassRule within, ClassRule across, string poem, double score) =>
        Assert.Equal(score, Tones(within: within, across: across).Score(poem, None));

    [Fact]
    public void Groups_may_be_of_any_size_and_places_in_any_order()
    {
        Assert.Equal(1, Tones(group: 3).Score("xp，xz，xp", None));
        Assert.Equal(0, Tones(group: 3).Score("xp，xz，xz", None));
        Assert.Equal(0.5, Tones(group: 1).Score("xpxz，xpxp", None));
        Assert.Equal(1, Tones(positions: [4, 2, 4]).Score("xpxz，xzxp", None));
        Assert.Equal(0, Tones(line: "(x+)+y").Score(new string('x', 60), None));
        Assert.Equal(1, Tones(line: "[^，]*").Score("xp，xz", None));
    }

    [Fact]
    public void The_names_of_the_classes_do_not_matter()
    {
        var poems = Gen.String[Gen.Char["pzx?，。\n"], 0, 60];
        var (plain, swapped) =
            (Tones(), Tones(classOf: point => ClassOf(point) switch { "level" => "oblique", "oblique" => "level", _ => null }));
        poems.Sample(poem => Assert.Equal(plain.Score(poem, None), swapped.Score(poem, None)));
    }

    [Fact]
    public void Any_text_has_a_score_from_nothing_to_one()
    {
        var reward = Tones();
        Gen.String[Gen.Char, 0, 40].Sample(text => Assert.InRange(reward.Score(text, None), 0, 1));
        Assert.InRange(reward.Score("\ud800p\udc00z，\ud800", None), 0, 1);
    }

    private static CharacterClassReward Tones(
        IReadOnlyList<int>? positions = null,
        string line = @"[^，。？！；\s]+",
        int group = 2,
        ClassRule within = ClassRule.Differ,
        ClassRule across = ClassRule.Differ,
        Func<int, string?>? classOf = null) =>
        new(
            new CharacterClassRewardSpec(
                "tone",
                positions ?? [2, 4, 6],
                line,
                group,
                within,
                across),
            classOf ?? ClassOf);

    private static string? ClassOf(int point) => point switch
    {
        'p' => "level",
        'z' => "oblique",
        <= char.MaxValue when Level.Contains((char)point) => "level",
        <= char.MaxValue when Oblique.Contains((char)point) => "oblique",
        _ => null,
    };
}
