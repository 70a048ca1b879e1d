using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Tuning;
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
        var all = Samples.Normal("logits", 5, tokenizer.VocabularySize);
        Tensor Words(Verbalizer verbalizer) => all.index_select(1, tensor(verbalizer.Tokens.ToArray()));
        // Two words of one label may share a token: it counts once.
        var expected = stack([(all.select(1, Id("g")) + all.select(1, Id("f"))) / 2, all.select(1, Id("b"))], 1);
        Samples.Near(expected, verbalizer.Scores(Words(verbalizer)), 1e-5, "several words");
        Samples.Near(stack([all.select(1, Id("g")), all.select(1, Id("b"))], 1), Make().Scores(Words(Make())), 1e-6, "one word");
    }

    [Theory]
    [InlineData("llama", true)]
    [InlineData("llama", false)]
    [InlineData("gemma2", false)]
    [InlineData("bert-mlm", false)]
    [InlineData("gpt2", true)]
    public void A_label_s_score_is_the_logit_that_the_model_gives_its_word(string family, bool head)
    {
        // Of fewer tokens than the model.
        var verbalizer = new Verbalizer(Labels, null, WordPieceTrainer.Train(["good bad"], 60, 0, ChatTemplate.Specials));
        using var model = ModelFolder.Open(TextFixtures.At("models", family));
        using var set = head ? DeltaSet.Fresh(model, DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, [Socket.Head])), 1) : null;
        foreach (var (name, weight) in set?.Trained ?? []) weight.Assign(Samples.Normal(name, weight.Value.shape) * 0.3);
        using var scope = NewDisposeScope();
        using var batch = model.Lay(DeltaKinds.Rows());
        var scores = new LabelWords(verbalizer).Scores(model, batch);
        var logits = model.Unembed(model.Hidden(batch).index_select(0, batch.LastPlaces()));
        Samples.Near(logits.index_select(1, tensor(verbalizer.Tokens.ToArray())), scores, 1e-5, family);
        if (set is null) return;
        // Trained parts of the head are used.
        foreach (var weight in set.Weights) weight.Trainable = true;
        Fused.Backpropagate(new LabelWords(verbalizer).Scores(model, batch).sum());
        Assert.All(set.Weights, weight => Assert.NotNull(weight.Value.grad));
    }

    [Fact]
    public void Labels_that_share_a_first_token_are_refused() =>
        Assert.Contains(
            "'good' and 'bad' begin with the same token, 'g'",
            Assert.Throws<InputException>(() => Make(("bad", ["grim"]))).Message);

    [Fact]
    public void A_word_without_a_token_and_a_label_that_is_not_there_are_refused()
    {
        Assert.Contains("has no token", Assert.Throws<InputException>(() => Make(("bad", [""]))).Message);
        Assert.Contains("'ugly', which is not a label", Assert.Throws<InputException>(() => Make(("ugly", ["u"]))).Message);
    }
}
