using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text;
using Polymath.Text.Templates;
using Polymath.Tuning;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>Labels and the words that stand for them.</summary>
[Trait("kind", "unit")]
public sealed class VerbalizerTests
{
    private static readonly string[] Labels = ["good", "bad"];

    private static TaskWords Make(WordReading reading, params (string Label, string[] Words)[] words) => TaskWords.Of(
        Labels,
        words.ToDictionary(pair => pair.Label, pair => (IReadOnlyList<string>)pair.Words),
        Toy.Letters().Tokenizer,
        reading);

    private static TaskWords Make(params (string Label, string[] Words)[] words) => Make(WordReading.First, words);

    [Fact]
    public void A_label_stands_for_its_first_token_and_several_words_for_their_mean()
    {
        using var scope = NewDisposeScope();
        var tokenizer = Toy.Letters().Tokenizer;
        int Id(string letter) => tokenizer.EncodePlain(letter)[0];
        var all = Samples.Normal("logits", 5, tokenizer.VocabularySize);
        Tensor Scores(TaskWords words)
        {
            var verbalizer = words.Verbalizer();
            var scores = verbalizer.TokenScores(all.index_select(1, tensor(verbalizer.Table.Tokens.ToArray())));
            Samples.Near(verbalizer.Scores(all), scores, 1e-6, "the logits of the words alone");
            return scores;
        }
        // Two words of one label may share a token: it counts once.
        var expected = stack([(all.select(1, Id("g")) + all.select(1, Id("f"))) / 2, all.select(1, Id("b"))], 1);
        Samples.Near(expected, Scores(Make(("good", ["great", "fine", "grand"]))), 1e-5, "several words");
        Samples.Near(stack([all.select(1, Id("g")), all.select(1, Id("b"))], 1), Scores(Make()), 1e-6, "one word");
    }

    [Theory]
    [InlineData(WordReading.Mean)]
    [InlineData(WordReading.Max)]
    public void All_tokens_of_a_word_are_read(WordReading reading)
    {
        using var scope = NewDisposeScope();
        var tokenizer = Toy.Letters().Tokenizer;
        var all = Samples.Normal("logits", 5, tokenizer.VocabularySize);
        Tensor Of(string word)
        {
            var each = all.index_select(1, tensor(Array.ConvertAll(tokenizer.EncodePlain(word), id => (long)id)));
            return reading == WordReading.Mean ? each.mean([1]) : each.amax([1]);
        }
        var words = Make(reading, ("good", ["great", "grand"]), ("bad", ["grim"]));
        Samples.Near(stack([(Of("great") + Of("grand")) / 2, Of("grim")], 1), words.Verbalizer().Scores(all), 1e-5, $"{reading}");
        Assert.Contains(
            "'good' and 'bad' have the same word, 'grim'",
            Assert.Throws<InputException>(() => Make(reading, ("good", ["grim"]), ("bad", ["grim"]))).Message);
    }

    [Fact]
    public void What_the_prompt_alone_says_divides_the_words_probabilities()
    {
        using var scope = NewDisposeScope();
        using var verbalizer = Make().Verbalizer(calibrates: true);
        var tokens = Samples.Normal("tokens", 4, verbalizer.Table.Tokens.Count);
        var bare = Samples.Normal("bare", verbalizer.Table.Tokens.Count);
        var ratio = tokens.softmax(-1) / bare.softmax(-1);
        var scores = verbalizer.TokenScores(tokens, bare);
        Samples.Near(ratio / ratio.sum(-1, keepdim: true), scores.softmax(-1), 1e-5, "calibrated");
        Samples.Near(tokens.softmax(-1), verbalizer.TokenScores(tokens).softmax(-1), 1e-5, "plain");
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
        var tokenizer = WordPieceTrainer.Train(["good bad"], 60, 0, ChatTemplate.Specials);
        using var verbalizer = TaskWords.Of(Labels, null, tokenizer).Verbalizer();
        using var model = ModelFolder.Open(TextFixtures.At("models", family));
        using var set = head ? DeltaSet.Fresh(model, DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, [Socket.Head])), 1) : null;
        foreach (var (name, weight) in set?.Trained ?? []) weight.Assign(Samples.Normal(name, weight.Value.shape) * 0.3);
        using var scope = NewDisposeScope();
        using var batch = model.Lay(DeltaKinds.Rows());
        Tensor Read() => new WordLabels(verbalizer).Scores(AskedStates.At(model, batch, DeltaKinds.Rows()));
        var scores = Read();
        var logits = model.Unembed(model.Hidden(batch).index_select(0, batch.LastPlaces()));
        Samples.Near(logits.index_select(1, tensor(verbalizer.Table.Tokens.ToArray())), scores, 1e-5, family);
        if (set is null) return;
        // Trained parts of the head are used.
        foreach (var weight in set.Weights) weight.Trainable = true;
        Fused.Backpropagate(Read().sum());
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
