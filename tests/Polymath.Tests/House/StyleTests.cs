namespace Polymath.Tests.House;

/// <summary>The style of the sources.</summary>
[Trait("kind", "house")]
public sealed class StyleTests
{
    // A model's layers, a pass of a kernel, the loop and a stage may be long members.
    private static readonly string[] Told = ["Families", "Kernels", "Stages", "Loop.cs"];

    private static string[] Faults(Func<CodeStyle, IEnumerable<string>> of) => Faults((_, code) => of(code));

    private static string[] Faults(Func<string, CodeStyle, IEnumerable<string>> of) => [.. Sources.Written()
        .Select(file => (Name: Path.GetRelativePath(Sources.Root, file), Code: new CodeStyle(File.ReadAllText(file))))
        .SelectMany(file => of(file.Name, file.Code).Select(fault => $"{file.Name}:{fault}"))];

    [Fact]
    public void No_line_of_code_is_longer_than_140_characters() => Assert.Equal([], Faults(code => code.LongLines()));

    [Fact]
    public void A_list_of_five_or_more_has_one_item_a_line() => Assert.Equal([], Faults(code => code.CrowdedLists()));

    [Fact]
    public void Every_member_says_who_may_use_it() => Assert.Equal([], Faults(code => code.SilentMembers()));

    [Fact]
    public void Every_type_says_who_may_use_it()
    {
        Assert.Equal(["1: A has no accessibility"], new CodeStyle("class A { } internal class B { class C { } }").SilentTypes());
        Assert.Equal([], Faults(code => code.SilentTypes()));
    }

    [Fact]
    public void A_private_field_is_named_like_a_local_variable() => Assert.Equal([], Faults(code => code.OddFields()));

    [Fact]
    public void No_member_is_longer_than_60_lines_and_none_that_is_told_in_one_go_than_120() => Assert.Equal([], Faults((name, code) =>
        code.LongMembers(name.Split(Path.DirectorySeparatorChar).Any(Told.Contains) ? 120 : 60)));

    [Fact]
    public void No_choice_stands_within_another() => Assert.Equal([], Faults(code => code.NestedChoices()));

    [Fact]
    public void No_line_of_a_page_is_longer_than_140_characters() => Assert.Equal([], Sources.Pages()
        .SelectMany(page => File.ReadLines(page).Index().Where(line => line.Item.Length > CodeStyle.Columns)
            .Select(line => $"{Path.GetRelativePath(Sources.Root, page)}:{line.Index + 1}: {line.Item.Length} characters")));

    [Theory]
    [InlineData("class A { int a; int B => a ? b : c; }", 2, 0)]
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
    public void A_field_with_a_mark_in_front_is_found() => Assert.Equal(
        ["1: _b", "1: C"],
        new CodeStyle("class A { private int a, _b, C; private const int D = 1; private static readonly int E; }").OddFields());

    [Theory]
    [InlineData("a ? b : c ? d : e", 1)]
    [InlineData("a ? b : Do(c ? d : e)", 1)]
    [InlineData("a ? $\"{(b ? c : d)}\" : e", 1)]
    [InlineData("Do(a ? b : c, d ? e : f)", 0)]
    [InlineData("a ? b.Select(c => c ? d : e) : f", 0)]
    public void A_choice_within_a_choice_is_found(string value, int nested) =>
        Assert.Equal(nested, new CodeStyle($"class A {{ public int B() {{ return {value}; }} }}").NestedChoices().Count());

    [Fact]
    public void The_length_of_a_member_counts_its_lines_without_attributes()
    {
        var code = new CodeStyle("class A\n{\n    [B]\n    public void C()\n    {\n    }\n\n    public int[] D { get; } =\n    [\n    "
            + "];\n}\n");
        Assert.Equal(["3: 3 lines"], code.LongMembers(2));
        Assert.Empty(code.LongMembers(3));
    }

    [Fact]
    public void A_wide_line_is_found_in_code_and_in_raw_texts()
    {
        var wide = new string('x', CodeStyle.Columns);
        Assert.Equal(["1: 150 characters"], new CodeStyle($"// {wide}1234567\n").LongLines());
        Assert.Equal(["2: 144 characters"], new CodeStyle($"var a = \"\"\"\n    {wide}\n    \"\"\";\n").LongLines());
    }
}
