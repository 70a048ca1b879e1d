using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Tests.Text.Templates;

/// <summary>From examples to tokens: what is read, what is learned, what may be cut.</summary>
[Trait("kind", "unit")]
public sealed class TemplateTests
{
    private static readonly Tokenizer Tokenizer = Toy.Letters().Tokenizer;
    private static readonly Dictionary<string, string> Fields = new() { ["a"] = "one", ["b"] = "two" };

    private static string Shown(Rendering rendering, int maxLength = int.MaxValue)
    {
        var row = rendering.Tokenize(Tokenizer, maxLength);
        return string.Concat(row.Ids.Select((id, i) => row.Learn[i] == 0 ? Tokenizer.TokenOf(id) : $"[{Tokenizer.TokenOf(id)}]"));
    }

    [Theory]
    [InlineData("{a} and {b}", "one and two")]
    [InlineData("{a}{b}{a}", "onetwoone")]
    [InlineData("", "")]
    [InlineData("none", "none")]
    [InlineData("{{a}}", "{a}")]
    [InlineData("{{{a}}}", "{one}")]
    [InlineData("{ a } {}", "{ a } {}")]
    [InlineData("}{", "}{")]
    public void Fields_stand_in_their_places(string text, string filled) => Assert.Equal(filled, new FieldText(text).Fill(Fields));

    [Fact]
    public void A_field_that_is_not_there_is_told_and_a_value_is_not_read_as_places()
    {
        Assert.Contains(
            "field 'c', which the row does not have; it has a, b",
            Assert.Throws<InputException>(() => new FieldText("{c}").Fill(Fields)).Message);
        Assert.Equal("{b}", new FieldText("{a}").Fill(new Dictionary<string, string> { ["a"] = "{b}" }));
        Assert.Equal([("x", false), ("a", true), ("{y", false)], new FieldText("x{a}{{y").Parts);
    }

    [Fact]
    public void A_document_is_learned_whole_but_for_its_beginning() =>
        Assert.Equal("<|begin|>[a][b][<|end|>]", Shown(ChatTemplate.Own.Render(new Document("k", "ab"))));

    [Fact]
    public void Of_a_conversation_only_the_answers_are_learned()
    {
        var talk = new Conversation("k", [new Turn("hi", "yo"), new Turn("b", "c")]);
        Assert.Equal("<|begin|><|user|>hi<|assistant|>[y][o][<|end|>]<|user|>b<|assistant|>[c][<|end|>]", Shown(
            ChatTemplate.Own.Render(talk, text => text)));
        Assert.Equal("<|begin|><|user|>b<|assistant|>", Shown(
            ChatTemplate.Own.Render(new Conversation("k", [new Turn("b")]), text => text)));
        Assert.Equal("<|begin|><|user|>x<|assistant|>[<|end|>]", Shown(
            ChatTemplate.Own.Render(new Conversation("k", [new Turn("b", "")]), _ => "x")));
    }

    [Fact]
    public void A_system_message_stands_first_and_the_answers_pass_through_no_table()
    {
        var rendering = (ChatTemplate.Own with { System = "s" }).Render(new Conversation("k", [new Turn("u", "a")]), text => text + "z");
        Assert.Equal("<|begin|>sz<0x0A><|user|>uz<|assistant|>[a][<|end|>]", Shown(rendering));
    }

    [Fact]
    public void A_message_cannot_bring_in_a_control_token()
    {
        var ids = ChatTemplate.Own.Render(new Conversation("k", [new Turn("<|end|><|user|>")]), text => text).Tokenize(Tokenizer).Ids;
        Assert.DoesNotContain(Tokenizer.SpecialTokens["<|end|>"], ids);
        Assert.Equal(1, ids.Count(id => id == Tokenizer.SpecialTokens["<|user|>"]));
    }

    [Fact]
    public void A_template_in_words_uses_no_special_tokens_for_its_turns()
    {
        var rendering = ChatTemplate.Words("<|begin|>", "<|end|>").Render(new Conversation("k", [new Turn("u", "a")]), text => text);
        Assert.All(rendering.Spans, span => Assert.Equal(SpanKind.Marked, span.Kind));
        Assert.Equal("<|begin|>User: u\nAssistant: a<|end|>", string.Concat(rendering.Spans.Select(span => span.Text)));
    }

    [Theory]
    [InlineData(99, "<|begin|>say abcdef or ghij is ")]
    [InlineData(23, "<|begin|>say abcdef or ghij is ")]
    [InlineData(21, "<|begin|>say abcdef or gh is ")]
    [InlineData(19, "<|begin|>say abcdef or  is ")]
    [InlineData(16, "<|begin|>say abc or  is ")]
    [InlineData(13, "<|begin|>say  or  is ")]
    [InlineData(3, "<|begin|>say  or  is ")]
    public void Shortening_cuts_fields_from_the_last_and_never_the_words_around_them(int most, string expected)
    {
        var labelled = new Labelled("k", new Dictionary<string, string> { ["a"] = "abcdef", ["b"] = "ghij" }, "x");
        Assert.Equal(expected, Shown(ChatTemplate.Own.Render(labelled, new FieldText("say {a} or {b} is ")), most));
    }

    [Fact]
    public void A_template_whose_token_is_missing_is_refused() =>
        Assert.Contains(
            "has no token </s>",
            Assert.Throws<InputException>(() => ChatTemplate.Words("", "</s>").Render(new Document("k", "a")).Tokenize(Tokenizer)).Message);
}
