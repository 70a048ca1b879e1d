using System.Text.Json.Nodes;
using CsCheck;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Tests.Text.Templates.Jinja;

/// <summary>With any template, the renderer does not crash or hang, and a message says what was refused.</summary>
[Trait("kind", "invariant")]
public sealed class JinjaSafetyTests
{
    private static readonly JinjaLimits Small = new(200_000, 200_000, 50);

    private static readonly string[] Pieces =
    [
        "{{", "}}", "{%", "%}", "{#", "#}", "{%-", "-%}", " for ", " x ", " in ", "messages", " if ", "else", "endif", "endfor", " set ",
        "=", "'", "\"", "(", ")", "[", "]", "{", "}", ":", ",",
        ".", "|", "~", "+", "-", "*", "**", "/", "//", "%", "<", "==", " is ", " not ", "and", "or", "1", "0", "99999999", "1.5e300",
        "'abc'", "none", "true", "content", "role", "range(9)",
        "tojson", "length", "join", "map", "format", "split", "replace", "{% for x in messages %}", "{% endfor %}", "{{ x.content }}",
        "{% macro m(a) %}", "{% endmacro %}", "m(1)", "loop.index", "\n",
        "{% generation %}", "{% endgeneration %}", "{% raw %}", "{% endraw %}", "namespace(a=1)", "ns.a", "__class__", "\\", "\\u12", "é",
        "\ud800", "recursive", "loop(x)", "'%s' % x", "[::-1]", "break",
    ];

    private static string Refusal(string template, JinjaLimits? limits = null) =>
        Assert.Throws<JinjaException>(() => JinjaTemplate.Parse(template, "t.jinja").Render(Variables(), limits)).Message;

    private static JsonObject Variables() => JsonNode
        .Parse("""{"messages": [{"role": "user", "content": "a<b>"}, {"role": "assistant", "content": "c 😀"}], "x": "Hi", "n": 3}""")!
        .AsObject();

    [Theory]
    [InlineData("{{ ''.__class__ }}", "line 1: the attribute '__class__' of 'str' is not safe")]
    [InlineData("\n{{ x['__init__'] }}", "line 2: the attribute '__init__'")]
    [InlineData("{{ messages.append(1) }}", "'append' would change a list")]
    [InlineData("{{ range(10**9) }}", "more than 100,000 numbers")]
    [InlineData("{{ 'a' * 10**12 }}", "more than 50,000,000 characters")]
    [InlineData("{{ [1] * 10**12 }}", "more than 50,000,000 characters")]
    [InlineData("{{ 10**(10**10) }}", "more than 4300 digits")]
    [InlineData("{{ '%999999999d' % 1 }}", "more than 50,000,000 characters")]
    [InlineData("{{ '{:999999999}'.format(1) }}", "more than 50,000,000 characters")]
    [InlineData("{{ 'x'.center(10**9) }}", "more than 50,000,000 characters")]
    [InlineData("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "more than 20,000,000 steps")]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "more than 100 deep")]
    [InlineData("{% set ns = namespace(x='ab') %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "characters")]
    [InlineData(
        "{% set ns = namespace(x=[1]) %}{% for a in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "nested too deep")]
    [InlineData(
        "{% set ns = namespace(x=[1]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}", "more than")]
    [InlineData("{% set ns = namespace(x=(1,)) %}{% for a in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}",
        "nested too deep")]
    [InlineData("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", "nested too deep")]
    [InlineData("{% include 'x' %}", "needs another template")]
    [InlineData("{{ raise_exception('roles must alternate') }}", "refuses the conversation: roles must alternate. Change the conversation")]
    public void What_a_template_may_not_do_is_told(string template, string message)
    {
        var told = Refusal(template);
        Assert.Contains(message, told);
        Assert.StartsWith("t.jinja", told);
    }

    [Fact]
    public void Deep_nesting_is_told_and_not_died_of()
    {
        foreach (var (open, close) in new[] { ("(", ")"), ("[", "]"), ("not ", ""), ("-", ""), ("{1:", "}") })
            Assert.Contains("nested too deep", Refusal(
                "{{ " + string.Concat(Enumerable.Repeat(open, 150_000)) + "1" + string.Concat(Enumerable.Repeat(close, 150_000)) + " }}"));
        Assert.Contains("nested too deep", Refusal(string.Concat(Enumerable.Repeat("{% if 1 %}", 50_000))));
        Assert.Contains("nested too deep", Refusal("{{ " + string.Join('+', Enumerable.Repeat("1", 200_000)) + " }}"));
    }

    [Fact]
    public void No_template_crashes_or_hangs_the_renderer() =>
        Gen.Int[0, Pieces.Length - 1].Array[0, 30].Select(places => string.Concat(places.Select(place => Pieces[place])))
            .Sample(Survives, iter: 3000, threads: 1);

    [Fact]
    public void No_expression_crashes_the_renderer() =>
        Gen.Int[0, Pieces.Length - 1].Array[1, 12].Select(places => "{{ " + string.Concat(places.Select(place => Pieces[place])) + " }}")
            .Sample(Survives, iter: 3000, threads: 1);

    [Fact]
    public void No_filter_test_or_method_crashes_on_any_value()
    {
        string[] values =
        [
            "1", "-2.5", "'ab c'", "''", "none", "true", "undefinedname", "[3, 1, 2]", "['a', none]", "{'a': 1}", "(1, 2)", "range(3)",
            "messages", "10**30", "messages|map('upper')", "loop",
        ];
        string[] arguments =
        [
            "", "()", "(1)", "(-1)", "('a')", "('a', 'b')", "(none)", "(99999999999)", "('upper')", "(attribute='role')", "([1])",
            "(0.5, 'x', 3)", "(**{'a': 1})",
        ];
        foreach (var value in values)
        {
            foreach (var argument in arguments)
            {
                foreach (var name in Filters.All.Keys) Survives($"{{{{ ({value})|{name}{argument}|string }}}}");
                foreach (var name in TextMethods.All.Keys.Concat(ListMethods.OfDictionaries.Keys))
                    Survives($"{{{{ ({value}).{name}{argument} }}}}");
            }
        }
    }

    private static void Survives(string template)
    {
        try
        {
            JinjaTemplate.Parse(template).Render(Variables(), Small);
        }
        catch (JinjaException fault)
        {
            Assert.NotEmpty(fault.Message);
        }
    }

    // Expected values by Jinja 3.1 and markupsafe 3.0.
    [Theory]
    [InlineData("{{ '{\"name\": '|safe + x | tojson }}", "{\"name\": &#34;v&#34;")]
    [InlineData("{{ '<'|safe + '<' + '>' }}", "<&lt;&gt;")]
    [InlineData("{{ '<' + '>'|safe }}", "&lt;>")]
    [InlineData("{{ '<'|safe ~ '<' }}", "<<")]
    [InlineData("{{ '<'|e|e }}{{ '<'|e + '&' }}", "&lt;&lt;&amp;")]
    [InlineData("{{ ' <'|safe|trim + '<' }}", "<&lt;")]
    [InlineData("{{ '<'|safe|replace('<', 'a') + '<' }}", "a<")]
    [InlineData("{{ ('<'|safe) == '<' }}{{ '<'|safe in '<>' }}{{ '<'|safe is string }}", "TrueTrueTrue")]
    [InlineData("{% set a = '<'|safe %}{{ a|length }}{{ a[0] }}{% for c in a %}{{ c }}{% endfor %}{{ [a]|tojson }}", "1<<[\"<\"]")]
    public void What_is_added_to_a_safe_text_is_escaped(string template, string expected) =>
        Assert.Equal(expected, JinjaTemplate.Parse(template).Render(new JsonObject { ["x"] = "v" }).Text);
}
