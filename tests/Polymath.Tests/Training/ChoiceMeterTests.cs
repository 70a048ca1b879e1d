using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Text;
using Polymath.Text.Templates;
using Polymath.Training.Evaluation;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>Likelihoods of candidates against sums made by hand from the model's own probabilities.</summary>
[Trait("kind", "unit")]
public sealed class ChoiceMeterTests : IDisposable
{
    private static readonly string[] choices = ["the red ball", "green", "a blue sky é"];

    private readonly TextModel model;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public ChoiceMeterTests()
    {
        var tokenizer = ByteLevelBpeTrainer.Train(["the red ball is green or a blue sky"], 275, 0, [.. ChatTemplate.Specials]);
        model = new TextModel(
            Toy.Model(vocabulary: tokenizer.VocabularySize), tokenizer, new TextContract(ChatTemplate.Own, []));
    }

    public void Dispose() => model.Dispose();

    // −Σ of what a plain forward pass of one row says.
    private double Plain(string question, string choice)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        int[] begin = [model.Tokenizer.IdOf("<|begin|>")!.Value],
            context = model.Tokenizer.Encode(question),
            whole = model.Tokenizer.Encode($"{question} {choice}"),
            row = [.. begin, .. whole];
        using var batch = Batch.Of([new(row, new float[row.Length], "")]);
        var logits = model.Model.Unembed(model.Model.Hidden(batch)).to(ScalarType.Float64).log_softmax(-1);
        return Enumerable.Range(1 + context.Length, row.Length - 1 - context.Length)
            .Sum(i => logits[i - 1][row[i]].item<double>());
    }

    [Fact]
    public void Likelihoods_are_the_sums_of_the_candidates_tokens_and_are_compared_as_the_harness_does()
    {
        string[] questions = ["which is it?", "the ball is", "sky:"];
        var found = new ChoiceMeter(model).Likelihoods(
            [.. questions.Select(question => (question, (IReadOnlyList<string>)choices))],
            alone: true,
            TestContext.Current.CancellationToken);
        for (var q = 0; q < questions.Length; q++)
        {
            double[] given = [.. choices.Select(choice => Plain(questions[q], choice))],
                alone = [.. choices.Select(choice => Plain("", choice))];
            for (var c = 0; c < choices.Length; c++)
            {
                Assert.Equal(given[c], found[q][c].LogLikelihood, 1e-4);
                Assert.Equal(alone[c], found[q][c].Alone, 1e-4);
                Assert.Equal(
                    model.Tokenizer.Encode($"{questions[q]} {choices[c]}").Length - model.Tokenizer.Encode(questions[q]).Length,
                    found[q][c].Tokens);
            }
            int Best(Func<int, double> of) => Enumerable.Range(0, choices.Length).MaxBy(of);
            int Found(ChoiceScore score) => ChoiceMeter.Best(choices, found[q], score);
            Assert.Equal(Best(c => given[c]), Found(ChoiceScore.Sum));
            Assert.Equal(Best(c => given[c] / found[q][c].Tokens), Found(ChoiceScore.Token));
            Assert.Equal(Best(c => given[c] / choices[c].Length), Found(ChoiceScore.Character));
            Assert.Equal(Best(c => given[c] / (choices[c].Length + (c == 2 ? 1 : 0))), Found(ChoiceScore.Byte));
            Assert.Equal(Best(c => given[c] - alone[c]), Found(ChoiceScore.Pmi));
        }
    }

    [Fact]
    public void Each_way_of_comparing_can_choose_another_candidate()
    {
        // 'é' has two bytes; the last candidate is unlikely from the start.
        string[] said = ["aaaa", "éé", "bbb"];
        ChoiceLikelihood[] likely = [new(-8, 2, -8.5), new(-5, 1, -5.2), new(-6.6, 3, -9)];
        int Found(ChoiceScore score) => ChoiceMeter.Best(said, likely, score);
        Assert.Equal(1, Found(ChoiceScore.Sum));
        Assert.Equal(2, Found(ChoiceScore.Token));
        Assert.Equal(0, Found(ChoiceScore.Character));
        Assert.Equal(1, Found(ChoiceScore.Byte));
        Assert.Equal(2, Found(ChoiceScore.Pmi));
    }

    [Fact]
    public void A_question_that_is_too_long_loses_its_beginning()
    {
        var long_ = string.Concat(Enumerable.Repeat("the red ball is ", 30));
        var found = new ChoiceMeter(model).Likelihoods([(long_, choices)], alone: false, Stop)[0];
        Assert.All(found, one => Assert.True(double.IsFinite(one.LogLikelihood) && double.IsNaN(one.Alone)));
        var other = new ChoiceMeter(model).Likelihoods([("green " + long_, choices)], alone: false, Stop)[0];
        Assert.Equal(found[0].LogLikelihood, other[0].LogLikelihood, 1e-5);
    }

    [Theory]
    [InlineData("5 + 5 = 10\n#### 10", 10.0)]
    [InlineData("so #### 1,234.5\nQuestion", 1234.5)]
    [InlineData("the answer is $72.", 72.0)]
    [InlineData("none", null)]
    public void A_written_answer_is_its_final_number(string text, double? number) =>
        Assert.Equal(number, ChoiceMeter.FinalNumber(text));
}
