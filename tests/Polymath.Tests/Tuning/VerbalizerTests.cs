using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tuning.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>Labels and the words that stand for them.</summary>
[Trait("kind", "unit")]
public sealed class VerbalizerTests
{
    private static readonly string[] Labels = ["good", "bad"];

    private static Verbalizer Make(params (string Label, string[] Words)[] words) =>
        new(Labels, words.ToDictionary(pair => pair.Label, pair => (IReadOnlyList<string>)pair.Words), Toy.Letters().Tokenizer);

    [Fact]
    public void A_label_stands_for_its_first_token_and_several_words_for_their_mean()
    {
        using var scope = NewDisposeScope();
        var tokenizer = Toy.Letters().Tokenizer;
        int Id(string letter) => tokenizer.EncodePlain(letter)[0];
        var verbalizer = Make(("good", ["great", "fine", "grand"]));
        Assert.Equal(Id("g"), verbalizer.TokenOf(0));
        Assert.Equal(Id("b"), verbalizer.TokenOf(1));
        Tensor hidden = Samples.Normal("hidden", 5, 6), head = Samples.Normal("head", tokenizer.VocabularySize, 6), all = nn.functional.linear(hidden, head);
        // Two words of one label may share a token: it counts once.
        var expected = stack([(all.select(1, Id("g")) + all.select(1, Id("f"))) / 2, all.select(1, Id("b"))], 1);
        Samples.Near(expected, verbalizer.Scores(hidden, head), 1e-5, "several words");
        Samples.Near(stack([all.select(1, Id("g")), all.select(1, Id("b"))], 1), Make().Scores(hidden, head), 1e-6, "one word");
    }

    [Fact]
    public void Labels_that_share_a_first_token_are_refused() =>
        Assert.Contains("'good' and 'bad' begin with the same token, 'g'", Assert.Throws<InputException>(() => Make(("bad", ["grim"]))).Message);

    [Fact]
    public void A_word_without_a_token_and_a_label_that_is_not_there_are_refused()
    {
        Assert.Contains("has no token", Assert.Throws<InputException>(() => Make(("bad", [""]))).Message);
        Assert.Contains("'ugly', which is no label", Assert.Throws<InputException>(() => Make(("ugly", ["u"]))).Message);
    }
}
