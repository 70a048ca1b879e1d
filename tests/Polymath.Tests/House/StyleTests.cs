namespace Polymath.Tests.House;

/// <summary>How the sources are laid out.</summary>
[Trait("kind", "house")]
public sealed class StyleTests
{
    private static string[] Faults(Func<CodeStyle, IEnumerable<string>> of) => [.. Sources.Written()
        .SelectMany(file => of(new CodeStyle(File.ReadAllText(file)))
            .Select(fault => $"{Path.GetRelativePath(Sources.Root, file)}:{fault}"))];

    [Fact]
    public void No_line_of_code_is_longer_than_140_characters() => Assert.Equal([], Faults(code => code.LongLines()));

    [Fact]
    public void A_list_of_five_or_more_has_one_item_a_line() => Assert.Equal([], Faults(code => code.CrowdedLists()));

    [Fact]
    public void Every_member_says_who_may_use_it() => Assert.Equal([], Faults(code => code.SilentMembers()));

    [Fact]
    public void No_line_of_a_page_is_longer_than_140_characters() => Assert.Equal([], Sources.Pages()
        .SelectMany(page => File.ReadLines(page).Index().Where(line => line.Item.Length > CodeStyle.Columns)
            .Select(line => $"{Path.GetRelativePath(Sources.Root, page)}:{line.Index + 1}: {line.Item.Length} characters")));

    [Theory]
    [InlineData("class A { int a; }", 1, 0)]
    [InlineData("class A { private int a; static A() { } ~A() { } void B.C() { } }", 0, 0)]
    [InlineData("interface A { int B(int a, int b, int c, int d, int e); }", 0, 1)]
    [InlineData("class A { public A() => Do(1, 2, 3, 4, 5); public void B() => Do(a, b, c, d, 5); }", 0, 1)]
    [InlineData("class A { public A() => Do(\"merge\", a, \"--adapter\", b, \"--output\", c); }", 0, 0)]
    [InlineData("class A { public A() => Do(\n    a,\n    b,\n    c,\n    d,\n    e); }", 0, 0)]
    public void The_rules_find_what_breaks_them(string code, int silent, int crowded)
    {
        var style = new CodeStyle(code);
        Assert.Equal(silent, style.SilentMembers().Count());
        Assert.Equal(crowded, style.CrowdedLists().Count());
    }

    [Fact]
    public void A_raw_text_of_several_lines_may_be_wide()
    {
        var wide = new string('x', CodeStyle.Columns);
        Assert.Equal(["1: 150 characters"], new CodeStyle($"// {wide}1234567\n").LongLines());
        Assert.Empty(new CodeStyle($"var a = \"\"\"\n    {wide}\n    \"\"\";\n").LongLines());
        Assert.Empty(new CodeStyle($"var a = $\"\"\"\n    {{b}} {wide}\n    \"\"\";\n").LongLines());
    }
}
