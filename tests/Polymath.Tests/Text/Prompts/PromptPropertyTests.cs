using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Prompts;

namespace Polymath.Tests.Text.Prompts;

/// <summary>What holds of every prompt.</summary>
[Trait("suite", "prompts")]
[Trait("kind", "invariant")]
public sealed class PromptPropertyTests
{
    private static PromptExample Example(string text) =>
        new("e", new Dictionary<string, string> { ["text_a"] = text }, new Dictionary<string, string>());

    [Theory]
    [InlineData("bert", "a [MASK] or [SEP]")]
    [InlineData("roberta", "a <mask> or </s>")]
    [InlineData("t5", "a <extra_id_0> or </s>")]
    [InlineData("gpt2", "an <|endoftext|>")]
    [InlineData("roberta", "<mask>")]
    public void A_field_that_spells_a_special_token_stays_text(string tokenizer, string text)
    {
        var prompts = PromptCase.Prompts(tokenizer, new JsonObject { ["max_seq_length"] = 99 });
        var template = PromptTemplate.Hard("{\"placeholder\":\"text_a\"} was {\"mask\"}");
        var special = PromptCase.Tokenizer(tokenizer).SpecialTokens.Where(token => token.Key is not ("<unk>" or "[UNK]"))
            .Select(token => token.Value).ToHashSet();
        var plain = prompts.Encode(template, Example("a plain text"));
        var marked = prompts.Encode(template, Example(text));
        Assert.Equal(plain.Ids.Count(special.Contains), marked.Ids.Count(special.Contains));
        Assert.Single(marked.Answers);
    }

    [Theory]
    [InlineData("{\"placeholder\":\"text_a\",\"post_processing\": lambda s: __import__(\"os\").system(\"x\")} {\"mask\"}", 44)]
    [InlineData("{\"placeholder\":\"text_a\",\"post_processing\":\"open\"} {\"mask\"}", 44)]
    [InlineData("{\"placeholder\":\"text_a\"} {\"mask\"", 26)]
    [InlineData("{\"colour\":\"red\"} {\"mask\"}", 2)]
    public void Nothing_is_evaluated_and_a_fault_has_its_place(string source, int place)
    {
        var message = Assert.Throws<InputException>(() => PromptTemplate.Hard(source)).Message;
        Assert.Contains($"at character {place}:", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lower", "Ab. ", "ab. ")]
    [InlineData("lambda s: s.rstrip(\". \")", "Ab. ", "Ab")]
    [InlineData("lambda s: s[-3:].upper()", "abcd", "BCD")]
    [InlineData("lambda s: \"(\" + s.strip() + \")\"", " x ", "(x)")]
    [InlineData("lambda x: {\"a\":\"b\"}.get(x, \"c\")", "z", "c")]
    public void Filters_are_named_steps(string filter, string text, string expected)
    {
        var template = PromptTemplate.Hard($"{{\"placeholder\":\"text_a\",\"post_processing\":{filter.TrimStart()}}} {{\"mask\"}}");
        Assert.Equal(expected, template.Wrap(Example(text))[0].Text);
    }

    [Theory]
    [InlineData(CutSide.Tail)]
    [InlineData(CutSide.Head)]
    [InlineData(CutSide.Balanced)]
    public void Cutting_removes_as_many_tokens_as_are_too_many(CutSide side)
    {
        for (var excess = 0; excess <= 12; excess++)
        {
            var losses = PromptCut.Losses([5, 0, 0, 4, 3], excess, side);
            Assert.Equal(excess, losses.Sum());
            Assert.All(losses.Zip([5, 0, 0, 4, 3]), pair => Assert.InRange(pair.First, 0, pair.Second));
        }
    }
}
