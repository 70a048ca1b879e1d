using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using Polymath.Training.Stages;
using Polymath.Tuning;
using Polymath.Tuning.Prompts.Verbalizers;

namespace Polymath.Tests.Tuning;

/// <summary>The weights that each method changes, and those that it does not change.</summary>
[Trait("kind", "invariant")]
public sealed class MethodTests
{
    private static readonly int[] Ids = [3, 1, 4, 1, 5, 9, 2, 6];

    public static TheoryData<string> Methods =>
        ["full", "freeze", "freeze last", "lora", "lora all-linear", "prompt + lora", "prompt + full"];

    private static MethodSpec Method(string name) => name switch
    {
        "full" => new FullMethod(),
        "freeze" => new FreezeMethod(["model.layers.1.*", "model.norm.weight"]),
        "freeze last" => new FreezeMethod(["model.norm.weight"], LastLayers: 1),
        "lora" => new LoraMethod(4, 16),
        "lora all-linear" => new LoraMethod(
            2,
            4,
            LoraDropout: 0.2,
            TargetModules: ["all-linear"],
            UseRslora: true),
        "prompt + lora" => new PromptMethod("{text} {mask}", new WordsSpec(), new LoraMethod(4, 16)),
        _ => new PromptMethod("{text} {mask}", new WordsSpec()),
    };

    private static ToyTraining Training(string name)
    {
        if (!name.StartsWith("prompt", StringComparison.Ordinal))
            return new ToyTraining(Method(name));
        var (tokenizer, _) = Toy.Letters();
        var items =
            Enumerable.Range(0, 8).Select(i => new LabelItem([Toy.Row(6 + i, i, vocabulary: tokenizer.VocabularySize)], i % 2)).ToList();
        var words = new WordLabels(TaskWords.Of(["yes", "no"], null, tokenizer).Verbalizer());
        return new ToyTraining(
            Method(name),
            objective: new AskedLabels((one, batch, rows) => words.Scores(AskedStates.At(one, batch, rows)).log_softmax(-1)),
            items: items,
            model: Toy.Model(vocabulary: tokenizer.VocabularySize));
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void Every_chosen_weight_moves_and_no_other(string name)
    {
        using var toy = Training(name);
        Dictionary<string, float[]> chosen = Toy.Values(toy.Method.Weights), all = Toy.Values(toy.Model.Weights);
        Assert.NotEmpty(chosen);
        Assert.Equal(
            toy.Method.Weights.Select(weight => weight.Name),
            toy.Method.Weights.Where(weight => weight.Trainable).Select(weight => weight.Name));
        // A fresh delta's A has no gradient until its B has changed.
        toy.Train(1, 3);
        foreach (var weight in toy.Method.Weights)
            Assert.NotEqual(chosen[weight.Name], Samples.Floats(weight.Value));
        foreach (var weight in toy.Model.Weights.Where(weight => !toy.Method.Weights.Contains(weight)))
            Assert.Equal(all[weight.Name], Samples.Floats(weight.Value));
        Assert.Equal(name switch
        {
            "full" or "prompt + full" => toy.Model.Weights.Count,
            "freeze" or "freeze last" => 10,
            "lora" or "prompt + lora" => 2 * 2 * 2,
            _ => 2 * 7 * 2,
        }, toy.Method.Weights.Count);
    }

    [Fact]
    public void A_pattern_that_fits_nothing_is_refused()
    {
        using var model = Toy.Model();
        Assert.Contains(
            "'model.layer.1.*' matches no weight",
            Assert.Throws<InputException>(() => TrainedMethod.Attach(model, new FreezeMethod(["model.layer.1.*"]), 1, "x")).Message);
        Assert.Contains(
            "no module of a llama is called 'wq'",
            Assert.Throws<InputException>(() => TrainedMethod.Attach(model, new LoraMethod(TargetModules: ["wq"]), 1, "x")).Message);
    }

    [Theory]
    [InlineData("llama", 1, null, null, "model.layers.0.")]
    [InlineData("llama", null, 2, null, "model.layers.1. model.layers.2.")]
    [InlineData("gpt2", 1, null, 2, "transformer.h.0. transformer.h.2.")]
    [InlineData("bert-mlm", null, 1, null, "bert.encoder.layer.2.")]
    [InlineData("t5", 1, null, null, "encoder.block.0. decoder.block.0.")]
    [InlineData("mixtral", null, null, 1, "model.layers.1.")]
    public void Whole_blocks_train_whatever_a_family_calls_them(
        string family,
        int? first,
        int? last,
        int? layer,
        string prefixes)
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", family));
        using var method = TrainedMethod.Attach(model, new FreezeMethod(null, first, last, layer is { } one ? [one] : null), 1, "x");
        bool Meant(string name) => prefixes.Split(' ').Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal));
        Assert.Equal(
            model.Weights.Where(weight => Meant(weight.Name)).Select(weight => weight.Name), method.Weights.Select(weight => weight.Name));
        Assert.All(
            prefixes.Split(' '),
            prefix => Assert.Contains(method.Weights, weight => weight.Name.StartsWith(prefix, StringComparison.Ordinal)));
    }

    [Fact]
    public void Blocks_that_a_model_has_not_are_refused()
    {
        using var model = Toy.Model();
        Assert.Contains(
            "method.lastLayers is 3; the model has 2 layers",
            Assert.Throws<InputException>(() => TrainedMethod.Attach(model, new FreezeMethod(LastLayers: 3), 1, "x")).Message);
        Assert.Contains(
            "method.layers names 2; the model has 2 layers, counted from 0",
            Assert.Throws<InputException>(() => TrainedMethod.Attach(model, new FreezeMethod(Layers: [0, 2]), 1, "x")).Message);
    }

    [Fact]
    public void A_fresh_delta_changes_nothing_and_depends_on_the_seed_and_the_stage()
    {
        using var model = Toy.Model();
        var plain = Toy.Logits(model, Ids);
        float[] First(long seed, string stage)
        {
            using var method = TrainedMethod.Attach(model, new LoraMethod(4, 16), seed, stage);
            Assert.Equal(plain, Toy.Logits(model, Ids));
            return Samples.Floats(method.Weights[0].Value);
        }
        var one = First(1, "a");
        Assert.Equal(one, First(1, "a"));
        Assert.NotEqual(one, First(2, "a"));
        Assert.NotEqual(one, First(1, "b"));
        Assert.All(one, x => Assert.InRange(Math.Abs(x), 0, 1 / Math.Sqrt(24)));
        Assert.All(model.Projections, projection => Assert.Empty(projection.Deltas));
    }

    [Theory]
    [InlineData("lora")]
    [InlineData("lora all-linear")]
    public void A_merged_model_is_the_unmerged_one_and_a_delta_that_is_off_is_not_there(string name)
    {
        using var toy = Training(name);
        var before = Toy.Logits(toy.Model, Ids);
        toy.Train(1, 5);
        toy.Method.Training = false;
        var trained = Toy.Logits(toy.Model, Ids);
        Assert.True(Samples.Gap(before, trained) > 1e-3);
        using var folder = new ScratchFolder();
        toy.Method.Finish(folder.Path);
        Assert.True(Samples.Gap(trained, Toy.Logits(toy.Model, Ids)) < 2e-5);
        Assert.All(toy.Model.Projections, projection => Assert.Empty(projection.Deltas));

        // The saved adapter on the base gives the merged model.
        using var again = Toy.Model();
        using var deltas = DeltaSet.Load(again, folder.At("adapter"));
        Assert.Equal(trained, Toy.Logits(again, Ids));
        using (deltas.Off())
            Assert.Equal(before, Toy.Logits(again, Ids));
        Assert.Equal(trained, Toy.Logits(again, Ids));
    }

    [Fact]
    public void A_merge_that_answers_otherwise_ends_the_stage_with_the_adapter_kept()
    {
        using var toy = Training("lora");
        toy.Train(1, 3);
        toy.Method.Training = false;
        using var folder = new ScratchFolder();
        var message = Assert.Throws<RunFailedException>(() => toy.Method.Finish(folder.Path, held: [Ids], limit: -1)).Message;
        Assert.Contains("over 1 rows of the stage's data", message, StringComparison.Ordinal);
        Assert.Contains("merge: false", message, StringComparison.Ordinal);
        Assert.True(File.Exists(folder.At("adapter", "adapter_model.safetensors")));
        Assert.Contains("\"passed\": false", File.ReadAllText(folder.At("gate.json")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_without_a_token_that_is_trained_goes_by()
    {
        using var toy = new ToyTraining(
            new DeltaSpec(DeltaForm.TrainableTokens, Settings: new Dictionary<string, string> { ["token_indices"] = "[40]" }),
            items: [new Item([new TokenRow([1, 2, 3, 4], [0, 1, 1, 1], "row")])],
            model: Toy.Model(tied: false));
        var before = Toy.Values(toy.Method.Weights);
        Assert.True(double.IsFinite(toy.Train(1, 2)[^1].Loss));
        Assert.Equal(before.Single().Value, Toy.Values(toy.Method.Weights).Single().Value);
    }

    [Fact]
    public void Dropout_acts_in_training_only()
    {
        using var toy = new ToyTraining(new LoraMethod(4, 16, LoraDropout: 0.5));
        toy.Train(1, 3);
        Assert.NotEqual(Toy.Logits(toy.Model, Ids), Toy.Logits(toy.Model, Ids));
        toy.Method.Training = false;
        Assert.Equal(Toy.Logits(toy.Model, Ids), Toy.Logits(toy.Model, Ids));
    }

    [Fact]
    public void Without_merging_the_model_is_left_as_it_was()
    {
        using var toy = new ToyTraining(new LoraMethod(4, 16, Merge: false));
        var before = Toy.Values(toy.Model.Weights);
        toy.Train(1, 2);
        using var folder = new ScratchFolder();
        toy.Method.Finish(folder.Path);
        Assert.Equal(before.SelectMany(pair => pair.Value), Toy.Values(toy.Model.Weights).SelectMany(pair => pair.Value));
        Assert.True(File.Exists(folder.At("adapter", "adapter_config.json")));
    }

    [Fact]
    public void Adapters_that_are_stacked_are_the_sum_of_their_changes_in_any_order()
    {
        using var model = Toy.Model();
        float[] Answer(params long[] seeds)
        {
            var stacked = seeds.Select(seed =>
            {
                var set = DeltaSet.Fresh(model, new LoraMethod().ToDelta(), seed);
                foreach (var (name, weight) in set.Trained.Where(item => item.Name.EndsWith("lora_B.weight", StringComparison.Ordinal)))
                    weight.Assign(Samples.Normal($"{seed} {name}", weight.Value.shape) * 0.3);
                return set;
            }).ToList();
            var logits = Toy.Logits(
                model,
                3,
                1,
                4,
                1,
                5);
            stacked.ForEach(set => set.Dispose());
            return logits;
        }

        var plain = Toy.Logits(
            model,
            3,
            1,
            4,
            1,
            5);
        float[] both = Answer(1, 2), turned = Answer(2, 1);
        Assert.True(Samples.Gap(both, Answer(1)) > 1e-3 && Samples.Gap(both, Answer(2)) > 1e-3);
        Assert.True(Samples.Gap(both, turned) < 1e-5);
        Assert.Equal(plain, Toy.Logits(
            model,
            3,
            1,
            4,
            1,
            5));
    }
}
