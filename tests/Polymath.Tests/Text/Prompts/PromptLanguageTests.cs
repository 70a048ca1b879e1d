using Polymath.Recipes;
using Polymath.Text.Prompts;

namespace Polymath.Tests.Text.Prompts;

/// <summary>The language of recipes' templates.</summary>
[Trait("kind", "unit")]
public sealed class PromptLanguageTests
{
    private static PromptExample Row(params (string Name, string Text)[] fields)
    {
        var given = fields.ToDictionary(field => field.Name, field => field.Text);
        return new("row 1", given, given);
    }

    private static IReadOnlyList<PromptPiece> Filled(string template, string text, bool forward = false) =>
        PromptTemplate.Written(template, forward).Wrap(Row(("text", text), ("the title", "T")));

    [Theory]
    [InlineData("{text}", "It is. So.", "It is. So.")]
    [InlineData("{text|lower}", "It Is", "it is")]
    [InlineData("{text|trim|capitalize}", " it is ", "It is")]
    [InlineData("{text|strip-final-dot}", "It is..", "It is.")]
    [InlineData("{text|strip-final-dot}", "好。", "好")]
    [InlineData("{text | first-sentence}", "It is 3.5 now. So.", "It is 3.5 now.")]
    [InlineData("{text|first-sentence}", "好！不好", "好！")]
    [InlineData("{\"placeholder\":\"text\"}", "a", "a")]
    [InlineData("{\"meta\":\"text\"}", "a", "a")]
    [InlineData("{the title}", "a", "T")]
    public void A_field_is_filled_and_filtered(string field, string text, string expected) =>
        Assert.Equal(expected, Filled(field + "{mask}", text)[0].Text);

    [Fact]
    public void Spaces_go_with_the_word_that_follows()
    {
        var pieces = Filled("So: {text} is {mask} {{ok}}.", "{mask} [MASK]");
        Assert.Equal(["So:", " {mask} [MASK]", " is", PromptPiece.Mask, " {ok}."], pieces.Select(piece => piece.Text));
        Assert.Equal(
            [PieceKind.Template, PieceKind.Given, PieceKind.Template, PieceKind.Answer, PieceKind.Template],
            pieces.Select(piece => piece.Kind));
        Assert.Equal([false, true, false, false, false], pieces.Select(piece => piece.MayBeCut));
        // A model that reads forward reads what stands before the answer.
        Assert.Equal(" is ", Filled("{text} is {mask}", "a", forward: true)[1].Text);
        Assert.False(Filled("{text|whole}{mask}", "a")[0].MayBeCut);
        Assert.Equal("<cls>", Filled("{special:cls}{mask}", "a")[0].Text);
        Assert.Equal("{ \"a\": ", Filled("{ \"a\": {mask}", "a", forward: true)[0].Text);
    }

    [Theory]
    [InlineData("{text}", 7, "Write {mask} there")]
    [InlineData("{text} {mask} {mask}", 15, "a second {mask}")]
    [InlineData("{text|lowr} {mask}", 7, "no filter 'lowr'. did you mean 'lower'")]
    [InlineData("{mask} {text", 8, "never closed")]
    [InlineData("{} {mask}", 1, "the braces are empty")]
    [InlineData("{soft:\"\"} {text} {mask}", 1, "soft tokens start from words, but the quotes are empty")]
    [InlineData("{soft:two} {text} {mask}", 1, "behind soft: stands how many")]
    [InlineData("{soft:\"It\"|same} {text} {mask}", 12, "'same' is nothing of a soft token")]
    [InlineData("{\"colour\":\"red\"} {mask}", 2, "'colour' is no key of a block")]
    public void A_fault_has_its_place(string template, int place, string problem)
    {
        var message = Assert.Throws<InputException>(() => PromptTemplate.Written(template, forward: false)).Message;
        Assert.StartsWith($"The template, at character {place}: ", message, StringComparison.Ordinal);
        Assert.Contains(problem, message, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_field_that_a_row_lacks_is_named() => Assert.Contains(
        "at character 8: row 1 has no field 'txt'. There is text",
        Assert.Throws<InputException>(() => PromptTemplate.Written("{mask} {txt}", forward: false).Wrap(Row(("text", "a")))).Message);

    [Fact]
    public void The_names_of_a_template_are_found_without_its_filters() => Assert.Equal(
        ["text", "mask", "label", "the title"],
        TemplateFields.OfPrompt(
            "{{x}} {text|lower} {mask} {soft} {soft:\"a}b\"} {special:cls} {\"placeholder\": \"label\"} {\"text\": \"b\"} {the title}"));
}
