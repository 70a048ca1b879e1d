using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Text;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Scoring;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>Answers in steps: where each step is judged, and what is learned there.</summary>
[Trait("kind", "unit")]
public sealed class SteppedRowTests
{
    [Fact]
    public void Each_step_is_judged_at_the_last_token_of_its_separator()
    {
        using var model = Toy.Talker();
        var prompt = model.Contract.Encode([new Turn("abc")], model.Tokenizer);
        var stepped = SteppedRow.Of("row", "abc", ["de", "", "fgh"], ".", model, 99);
        int[] whole = [.. prompt, .. model.Tokenizer.EncodePlain("de"), .. model.Tokenizer.EncodePlain("."),
            .. model.Tokenizer.EncodePlain("."), .. model.Tokenizer.EncodePlain("fgh"), .. model.Tokenizer.EncodePlain(".")];
        Assert.Equal(whole, stepped.Row.Ids);
        Assert.Equal([prompt.Length + 2, prompt.Length + 3, prompt.Length + 7], stepped.Places);
        // What does not fit is left out as a whole step.
        Assert.Equal(2, SteppedRow.Of("row", "abc", ["de", "", "fgh"], ".", model, whole.Length - 1).Places.Count);
        Assert.Empty(SteppedRow.Of("row", "abc", ["de"], ".", model, prompt.Length + 1).Places);
    }

    // Cross entropy at the places alone, by hand from the head's scores; packing changes nothing.
    [Fact]
    public void The_loss_is_the_cross_entropy_of_the_steps()
    {
        using var model = Toy.Talker();
        using var folder = new ScratchFolder();
        model.Save(folder.At("base"));
        using var judge = ModelFolder.OpenWithHead(
            folder.At("base"), LabelTask.Tag, RewardModelSpec.StepNames, 3);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        List<StepItem> items =
        [
            .. new[] { (new[] { "de", "fgh" }, new[] { true, false }), (["ab"], [true]) }.Select(pair =>
            {
                var laid = SteppedRow.Of("row", "abc", pair.Item1, ".", model, 99);
                return new StepItem([laid.Row], laid.Places, pair.Item2);
            }),
        ];
        using var batch = judge.Lay([.. items.SelectMany(item => item.Rows)]);
        var score = new StepLabels().Evaluate(judge, batch, items, Objective.CountsOf(items));
        Assert.Equal(3, score.Count);
        var sum = 0.0;
        foreach (var item in items)
        {
            using var alone = judge.Lay(item.Rows);
            var all = judge.Labels!.Scores(judge.Hidden(alone), alone);
            for (var i = 0; i < item.Steps.Count; i++)
            {
                double bad = all[item.Steps[i], 0].item<float>(), good = all[item.Steps[i], 1].item<float>();
                sum += Math.Log(Math.Exp(bad) + Math.Exp(good)) - (item.Right[i] ? good : bad);
            }
        }
        Assert.Equal(sum, score.Loss.item<float>(), 1e-4);
    }
}
