using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>Blocks that are computed again in the backward pass give the same loss and gradients as when everything is kept.</summary>
// Random numbers come from one generator of the whole process.
[Trait("kind", "invariant")]
[Collection(Alone.Name)]
public sealed class GradientCheckpointingTests
{
    public static TheoryData<string> Names =>
        [.. Roots.SelectMany(Directory.GetDirectories).Select(folder => Path.GetFileName(folder)).Order(StringComparer.Ordinal)];

    private static string[] Roots => [TextFixtures.At("models"), TextFixtures.At("families"), TextFixtures.At("own", "models")];

    private static LanguageModel Open(string name) =>
        ModelFolder.Open(Roots.Select(root => Path.Combine(root, name)).First(Directory.Exists));

    // Rows of three lengths in one batch, with the marks that ChatGLM's prompts have. There are enough that forward takes the kernels of
    // training: with few tokens and no record the ones of generating round otherwise.
    private static Batch Lay(LanguageModel model)
    {
        int[][] rows = [[5, 6, 191, 194, 7, 8, 9, 10, 11, 12, 13, 14], [20, 190, 194, 21], [30, 31, 32, 33, 34, 35, 191, 194]];
        rows = [.. rows.Select(row => Array.ConvertAll(row, id => id % model.Sizes.VocabularySize))];
        return model.Lay([.. Enumerable.Range(0, 8).SelectMany(_ => rows)
            .Select(row => new TokenRow(row, [.. row.Select((_, i) => i < row.Length / 2 ? 0f : 1f)], ""))]);
    }

    private static (double Loss, Dictionary<string, float[]?> Gradients) Pass(
        LanguageModel model, IEnumerable<(string Name, Weight Weight)> weights, bool anew)
    {
        model.GradientCheckpointing = anew;
        manual_seed(11);
        using var scope = NewDisposeScope();
        using var batch = Lay(model);
        // A head of labels has no next token to predict: any number that depends on all states works.
        var states = model.Labels is null ? null : model.Hidden(batch);
        var loss = states is null ? model.NegativeLogLikelihood(batch) : (states * Samples.Normal("states", states.shape)).sum();
        Fused.Backpropagate(loss);
        model.GradientCheckpointing = false;
        var gradients = weights.ToDictionary(
            pair => pair.Name, pair => pair.Weight.Value.grad is { } gradient ? Samples.Floats(gradient) : null);
        foreach (var (_, weight) in weights) weight.ClearGradient();
        return (loss.item<float>(), gradients);
    }

    private static void Same(LanguageModel model, IReadOnlyList<(string Name, Weight Weight)> weights)
    {
        var kept = Pass(model, weights, anew: false);
        var anew = Pass(model, weights, anew: true);
        Assert.Equal(kept.Loss, anew.Loss);
        // An input of several blocks gets its gradient block by block, which changes the order of the sums.
        var several = model.Reading == Reading.EncoderDecoder
            || model.Routers.Exist || model.Configuration["model_type"]?.ToString() is "deberta-v2" or "gemma4_text" or "albert";
        var within = several ? Samples.Ulps(256) : 0;
        Assert.Contains(kept.Gradients.Values, gradient => gradient is not null);
        Assert.All(kept.Gradients, pair =>
        {
            Assert.Equal(pair.Value is null, anew.Gradients[pair.Key] is null);
            if (pair.Value is { } gradient)
                Assert.True(
                    Samples.Gap(gradient, anew.Gradients[pair.Key]) <= within,
                    $"{pair.Key}: {Samples.Gap(gradient, anew.Gradients[pair.Key]):G3}");
        });
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_gradient_of_a_family_is_the_same(string name)
    {
        using var model = Open(name);
        foreach (var weight in model.Weights) weight.Trainable = true;
        Same(model, [.. model.Weights.Select(weight => (weight.Name, weight))]);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Dropout_drops_the_same_elements_again(string name)
    {
        using var model = Open(name);
        foreach (var weight in model.Weights) weight.Trainable = false;
        using var set = DeltaSet.Fresh(model, new LoraMethod(R: 3, LoraAlpha: 6, LoraDropout: 0.4).ToDelta(), 5);
        foreach (var (own, weight) in set.Trained) weight.Assign(weight.Value + Samples.Normal(own, weight.Value.shape) * 0.2);
        foreach (var weight in set.Weights) weight.Trainable = true;
        set.Training = true;
        Same(model, set.Trained);
        // The numbers depend on the dropout.
        var dropped = Pass(model, set.Trained, anew: true).Loss;
        set.Training = false;
        Assert.NotEqual(dropped, Pass(model, set.Trained, anew: true).Loss);
    }

    [Fact]
    public void Blocks_below_the_first_trained_one_pass_nothing_back()
    {
        using var model = Open("llama");
        foreach (var weight in model.Weights) weight.Trainable = weight.Name.StartsWith("model.layers.1.", StringComparison.Ordinal);
        Same(model, [.. model.Weights.Select(weight => (weight.Name, weight))]);
    }

    [Fact]
    public void Rows_are_routed_as_they_were_whatever_went_through_the_model_in_between()
    {
        using var model = Open("llama");
        foreach (var weight in model.Weights) weight.Trainable = false;
        using DeltaSet one = DeltaSet.Fresh(model, new LoraMethod(R: 2, LoraDropout: 0).ToDelta(), 5),
            two = DeltaSet.Fresh(model, new LoraMethod(R: 2, LoraDropout: 0).ToDelta(), 6);
        foreach (var (own, weight) in one.Trained.Concat(two.Trained))
            weight.Assign(weight.Value + Samples.Normal(own, weight.Value.shape) * 0.2);
        foreach (var weight in one.Weights.Concat(two.Weights)) weight.Trainable = true;
        using var routing = new RowRouting(model, [one, two], [["a"], ["b"]]);
        List<float[]> Gradients(bool anew)
        {
            model.GradientCheckpointing = anew;
            using var scope = NewDisposeScope();
            using Batch batch = model.Lay([Toy.Row(48) with { Data = "a" }, Toy.Row(40, 1) with { Data = "b" }]),
                other = model.Lay([Toy.Row(44, 2) with { Data = "b" }]);
            var loss = model.NegativeLogLikelihood(batch) + model.NegativeLogLikelihood(other);
            using (no_grad()) model.Hidden(other);
            Fused.Backpropagate(loss);
            List<float[]> gradients = [.. one.Weights.Concat(two.Weights).Select(weight => Samples.Floats(weight.Value.grad!))];
            foreach (var weight in one.Weights.Concat(two.Weights)) weight.ClearGradient();
            return gradients;
        }
        foreach (var (kept, anew) in Gradients(false).Zip(Gradients(true))) Assert.True(Samples.Gap(kept, anew) <= Samples.Ulps(256));
    }
}
