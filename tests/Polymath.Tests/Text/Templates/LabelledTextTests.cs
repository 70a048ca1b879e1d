using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;
using Polymath.Tests.Models;

namespace Polymath.Tests.Text.Templates;

/// <summary>A text as a head over labels reads it.</summary>
[Trait("kind", "unit")]
public sealed class LabelledTextTests
{
    [Theory]
    [InlineData("bert")]
    [InlineData("llama2")]
    [InlineData("gpt2")]
    [InlineData("t5")]
    public void It_is_read_as_the_tokenizer_reads_it(string name)
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-files", name));
        var reading = new LabelledText(tokenizer);
        foreach (var text in new[] { "A moving and beautiful film.", "été 2026", "x" })
            Assert.Equal(tokenizer.Encode(text, addSpecialTokens: true), reading.Read("row", text).Ids);
    }

    [Fact]
    public void What_is_cut_is_the_texts_end_and_special_tokens_in_it_are_only_characters()
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-files", "bert"));
        var reading = new LabelledText(tokenizer);
        var whole = tokenizer.Encode("one two three four five six", addSpecialTokens: true);
        Assert.Equal([.. whole[..4], whole[^1]], reading.Read("row", "one two three four five six", 5).Ids);
        Assert.DoesNotContain(whole[^1], reading.Read("row", "a [SEP] b").Ids[..^1]);
        Assert.Contains("no room", Assert.Throws<InputException>(() => reading.Read("row", "one", 2)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_to_read_is_told_with_its_row()
    {
        var reading = new LabelledText(Toy.Letters().Tokenizer);
        Assert.Equal(3, reading.Read("row", "abc").Length);
        Assert.Contains(
            "The row rows.jsonl:3 is empty",
            Assert.Throws<InputException>(() => reading.Read("rows.jsonl:3", "")).Message,
            StringComparison.Ordinal);
    }
}
