using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>Heads over labels attach to any family.</summary>
[Trait("kind", "invariant")]
public sealed class LabelHeadTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string> LanguageModels =>
        new(Directory.GetDirectories(TextFixtures.At("models"))
            .Where(path => LabelHead.TaskOf(new ConfigReader(ModelFolder.Configuration(path))) is null)
            .Select(path => Path.GetFileName(path)));

    [Theory]
    [MemberData(nameof(LanguageModels))]
    public void A_fresh_head_stands_on_the_same_model_and_comes_back_from_files(string name)
    {
        var origin = TextFixtures.At("models", name);
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        foreach (var (task, labels) in new[]
        {
            (LabelTask.Classify, new[] { "ham", "spam", "egg" }), (LabelTask.Regress, ["score"]), (LabelTask.Tag, ["O", "B"]),
        })
        {
            Tensor Scores(LanguageModel model)
            {
                using var batch = model.Lay(
                    [.. new[] { new[] { 5, 6, 7, 8 }, [9, 4] }.Select(ids => new TokenRow(ids, new float[ids.Length], ""))]);
                Assert.Equal(labels.Length, model.Labels!.Labels);
                Assert.Equal(task, model.Labels.Task);
                return model.Labels.Scores(model.Hidden(batch), batch);
            }

            float[] fresh;
            var target = folder.At($"{task}");
            using (var model = ModelFolder.OpenWithHead(origin, task, labels, seed: 3))
            {
                var scores = Scores(model);
                Assert.Equal([task == LabelTask.Tag ? 6 : 2, labels.Length], scores.shape);
                fresh = Samples.Floats(scores);
                Assert.True(fresh.Distinct().Count() > 1, "the head's weights are not fresh");
                ModelFolder.Save(model, target);
                using var plain = ModelFolder.Open(origin);
                var known = plain.Weights.ToDictionary(weight => weight.Name, weight => weight.Value);
                // Everything except the head comes from the file.
                var shared = model.Weights.Where(weight => known.ContainsKey(weight.Name.Replace(
                    "transformer.", plain.Configuration["model_type"]!.ToString() == "t5" ? "" : "transformer.", StringComparison.Ordinal)))
                    .ToList();
                Assert.True(
                    shared.Count >= model.Weights.Count - 4,
                    $"{model.Weights.Count - shared.Count} weights of {model.Weights.Count} are fresh");
            }
            using var again = ModelFolder.Open(target);
            Assert.Equal(fresh, Samples.Floats(Scores(again)));
        }
    }

    [Fact]
    public void A_second_head_and_labels_that_cannot_be_are_refused()
    {
        var labelled = TextFixtures.At("own", "models", "llama-classify");
        Assert.Contains(
            "already",
            Assert.Throws<InputException>(() => ModelFolder.OpenWithHead(labelled, LabelTask.Tag, ["a", "b"], 1)).Message,
            StringComparison.Ordinal);
        var llama = TextFixtures.At("models", "llama");
        Assert.Contains(
            "two labels",
            Assert.Throws<InputException>(() => ModelFolder.OpenWithHead(llama, LabelTask.Classify, ["a"], 1)).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "twice",
            Assert.Throws<InputException>(() => ModelFolder.OpenWithHead(llama, LabelTask.Classify, ["a", "a"], 1)).Message,
            StringComparison.Ordinal);
    }
}
