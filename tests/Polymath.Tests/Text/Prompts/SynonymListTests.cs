using Polymath.Recipes;
using Polymath.Text.Prompts;

namespace Polymath.Tests.Text.Prompts;

/// <summary>Lists of words that mean nearly the same.</summary>
[Trait("kind", "unit")]
public sealed class SynonymListTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private SynonymList List(string text, int steps = 2)
    {
        folder.Write("list.txt", text);
        return SynonymList.Read("near", [folder.At("list.txt")], steps);
    }

    // As in the package segment: pairs, of which a word may have several.
    [Fact]
    public void Words_of_a_line_are_related_in_both_directions_and_those_of_their_lines_come_next()
    {
        const string Pairs = "聪慧,聪明\n村庄,村落\n村子,村庄\n过错,错误\n\n聪慧,智慧\n";
        Assert.Equal(["村落", "村子"], List(Pairs).Related("村庄", 3, 9));
        Assert.Equal(["村庄", "村子"], List(Pairs).Related("村落", 3, 9));
        Assert.Equal(["村庄"], List(Pairs, steps: 1).Related(" 村落 ", 3, 9));
        Assert.Equal(["聪慧"], List(Pairs).Related("聪明", 3, 1));
        Assert.Empty(List(Pairs).Related("天", 3, 9));
        Assert.Equal(8, List(Pairs).Count);
    }

    [Theory]
    [InlineData("Aa01A01= 人 士 人物\nAa01A02# 人类 生人\nAa01A03@ 人手", "人", "士 人物")]
    [InlineData("\ufeff高兴、快乐，愉快\r\n难过 伤心\r\n", "快乐", "高兴 愉快")]
    [InlineData("glad\thappy\nhappy|merry", "glad", "happy merry")]
    public void Groups_are_read_in_the_usual_forms(string text, string word, string related) =>
        Assert.Equal(related.Split(' '), List(text).Related(word, 1, 9));

    [Fact]
    public void A_list_without_groups_is_refused() =>
        Assert.Contains("has two words", Assert.Throws<InputException>(() => List("one\ntwo\n")).Message, StringComparison.Ordinal);
}
