using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>
/// The meaning of an adapter's settings in PEFT, where other meanings are possible. The numbers are compared with PEFT's own in
/// fixtures/own/adapters.
/// </summary>
[Trait("kind", "unit")]
public sealed class PeftSettingsTests
{
    private static readonly int[] Ids = [3, 1, 4, 1, 5, 9, 2, 6];

    private static void Close(float[] expected, float[] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, tolerance));
    }

    private static AdapterConfiguration Of(string json) => AdapterConfiguration.Of((JsonObject)JsonNode.Parse(json)!, "settings");

    [Theory]
    [InlineData("""{"target_modules": ["q"], "layers_to_transform": [1]}""", "encoder.block.1.layer.0.SelfAttention.q", true)]
    [InlineData("""{"target_modules": ["q"], "layers_to_transform": [0]}""", "encoder.block.1.layer.0.SelfAttention.q", false)]
    [InlineData("""{"target_modules": ["q"], "layers_to_transform": 0, "layers_pattern": "layer"}""",
        "encoder.block.1.layer.0.SelfAttention.q", true)]
    [InlineData("""{"target_modules": ["w"], "layers_to_transform": 1, "layers_pattern": ["h", "layers"]}""",
        "model.layers.1.mlp.experts.0.w", true)]
    [InlineData(
        """{"target_modules": ["w"], "layers_to_transform": 1, "layers_pattern": ["h"]}""", "model.layers.1.mlp.experts.0.w", false)]
    [InlineData("""{"target_modules": ["w"], "layers_to_transform": []}""", "model.layers.1.w", true)]
    [InlineData("""{"target_modules": ["model.layers.0.w"], "layers_to_transform": [1]}""", "model.layers.0.w", true)]
    [InlineData("""{"target_modules": ".*\\.w", "layers_to_transform": [1]}""", "model.layers.0.w", true)]
    [InlineData("""{"target_modules": ".*\\.(?P<map>w|v)"}""", "model.layers.0.w", true)]
    [InlineData("""{"target_modules": "all-linear", "layers_to_transform": [1]}""", "model.layers.0.w", false)]
    [InlineData("""{"target_modules": ["lm_head"], "layers_to_transform": [1]}""", "lm_head", true)]
    [InlineData("""{"target_modules": ["head"], "layers_to_transform": [1]}""", "lm.head", false)]
    [InlineData("""{"target_modules": ["w"], "modules_to_save": ["mlp"]}""", "model.layers.0.mlp.w", false)]
    [InlineData("""{"target_modules": ["w"], "modules_to_save": ["lp"]}""", "model.layers.0.mlp.w", true)]
    [InlineData("""{"target_modules": "all-linear", "modules_to_save": ["w"]}""", "model.layers.0.w", false)]
    public void Targets_are_those_that_PEFT_takes(string settings, string module, bool expected) =>
        Assert.Equal(expected, Of(settings).Targets(module, linear: true));

    [Theory]
    [InlineData("""{"feedforward_modules": ["down_proj"]}""", true)]
    [InlineData("""{"feedforward_modules": ["_proj"]}""", true)]
    [InlineData("""{"feedforward_modules": ["down"]}""", false)]
    [InlineData("""{"feedforward_modules": ".*\\.(down|up)_proj"}""", true)]
    [InlineData("""{"feedforward_modules": "down_proj"}""", false)]
    [InlineData("{}", false)]
    public void Ends_count_amid_a_word_and_a_pattern_must_fit_the_whole(string settings, bool expected) =>
        Assert.Equal(expected, Of(settings).FitsEnd("feedforward_modules", "model.layers.0.mlp.down_proj"));

    [Theory]
    [InlineData("dense", "h.1.dense", 7)]
    [InlineData("h.1.dense", "h.1.dense", 7)]
    [InlineData("d.*", "dense", 5)]
    public void A_pattern_of_frequencies_begins_behind_a_dot_or_is_the_whole_name(string key, string module, double expected) =>
        Assert.Equal(
            expected, Of($$$"""{"n_frequency_pattern": {"{{{key}}}": 7}}""").Special("n_frequency_pattern", module, 5, within: true));

    [Theory]
    [InlineData("orthogonal", 4, true)]
    [InlineData("mica", 3, false)]
    public void A_start_other_than_zero_changes_nothing_either(string start, int rank, bool bothTrain)
    {
        using var model = Toy.Model();
        var before = Toy.Logits(model, Ids);
        using var set = DeltaSet.Fresh(
            model,
            Of($$"""{"peft_type": "LORA", "r": {{rank}}, "target_modules": ["q_proj", "down_proj"], "init_lora_weights": "{{start}}"}"""),
            3);
        Close(before, Toy.Logits(model, Ids), 1e-5);
        Assert.Equal(bothTrain ? 8 : 4, set.Trained.Count);
        Assert.All(set.Trained, item => Assert.Equal(bothTrain, item.Weight.Value.norm().item<float>() > 0.1));
        if (bothTrain) return;
        // B's columns are directions of length one that W uses least: no direction loses less.
        var (target, delta) = set.Plugged[0];
        using var scope = NewDisposeScope();
        var b = delta.Weights[1].Value;
        Close(Samples.Floats(eye(3)), Samples.Floats(b.t().mm(b)), 1e-5);
        var strengths = linalg.svdvals(target.Matrix());
        Assert.Equal(strengths[-3].item<float>(), b.t().mm(target.Matrix()).square().sum(1).sqrt().max().item<float>(), 1e-4);
    }

    [Fact]
    public void Saved_vectors_and_a_tied_head_are_two_until_the_adapter_goes()
    {
        using var model = Toy.Model();
        var before = Toy.Logits(model, Ids);
        var count = model.Weights.Count;
        using (var set = DeltaSet.Fresh(
            model, Of("""{"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}"""), 3))
        {
            Assert.False(model.Tokens.IsTied);
            Assert.Contains(set.Trained, item => item.Name == "base_model.model.lm_head.weight");
            Close(before, Toy.Logits(model, Ids), 1e-6);
            using (no_grad()) model.Tokens.Head.Value.mul_(2);
            // Only the head has changed: logits are doubled, and the model's input is the same.
            Close([.. before.Select(x => 2 * x)], Toy.Logits(model, Ids), 1e-5);
            using (set.Off()) Close(before, Toy.Logits(model, Ids), 1e-6);
        }
        Assert.True(model.Tokens.IsTied);
        Assert.Equal(count, model.Weights.Count);
        Assert.True((bool)model.Configuration["tie_word_embeddings"]!);
        Assert.Equal(before, Toy.Logits(model, Ids));
    }

    [Fact]
    public void A_merged_head_that_left_its_table_is_read_again_as_it_was_saved()
    {
        using var folder = new ScratchFolder();
        using var model = Toy.Model();
        using (var set = DeltaSet.Fresh(
            model, Of("{\"peft_type\": \"LORA\", \"r\": 2, \"target_modules\": [\"q_proj\"], "
                + "\"modules_to_save\": [\"embed_tokens\", \"lm_head\"]}"), 3))
        {
            using (no_grad()) model.Tokens.Head.Value.mul_(2);
            set.Merge();
        }
        ModelFolder.Save(model, folder.At("merged"));
        using var again = ModelFolder.Open(folder.At("merged"));
        Assert.False(again.Tokens.IsTied);
        Assert.Equal(Toy.Logits(model, Ids), Toy.Logits(again, Ids));
    }

    [Fact]
    public void A_head_stays_apart_as_long_as_one_of_two_adapters_wants_it()
    {
        using var model = Toy.Model();
        DeltaSet Saved(string module) => DeltaSet.Fresh(
            model, Of($$"""{"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], "modules_to_save": ["{{module}}"]}"""), 3);
        var first = Saved("lm_head");
        using (var second = Saved("embed_tokens"))
        {
            first.Dispose();
            Assert.False(model.Tokens.IsTied);
            Assert.All(Toy.Logits(model, Ids), number => Assert.True(float.IsFinite(number)));
        }
        Assert.True(model.Tokens.IsTied);
        // A head that was never tied does not change.
        using var apart = Toy.Model(tied: false);
        apart.Tie();
        Assert.False(apart.Tokens.IsTied);
    }

    [Fact]
    public void A_merged_model_keeps_the_head_that_was_saved_apart()
    {
        using var folder = new ScratchFolder();
        float[] moved;
        using (var model = Toy.Model())
        {
            using var set = DeltaSet.Fresh(
                model, Of("""{"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]}"""), 3);
            using (no_grad()) model.Tokens.Embedding.Value.mul_(1.5f);
            moved = Toy.Logits(model, Ids);
            set.Merge();
            ModelFolder.Save(model, folder.Path);
        }
        using var again = ModelFolder.Open(folder.Path);
        Assert.False(again.Tokens.IsTied);
        Close(moved, Toy.Logits(again, Ids), 1e-6);
    }

    [Fact]
    public void One_table_stays_one_where_the_settings_say_so()
    {
        using var folder = new ScratchFolder();
        using var model = Toy.Model();
        var settings = Of("""{"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"],"""
            + """ "ensure_weight_tying": true}""");
        using (var set = DeltaSet.Fresh(model, settings, 3))
        {
            Assert.True(model.Tokens.IsTied);
            set.Save(folder.Path);
        }
        using var file = Polymath.Tensors.Files.SafetensorsFile.Open(folder.At("adapter_model.safetensors"));
        Assert.Contains("base_model.model.lm_head.weight", file.Entries.Keys);
        using var again = DeltaSet.Load(model, folder.Path);
        Assert.True(model.Tokens.IsTied);
    }

    [Fact]
    public void A_batch_without_the_trained_tokens_has_a_gradient_of_nothing()
    {
        using var model = Toy.Model(tied: false);
        using var set = DeltaSet.Fresh(model, Of("""{"peft_type": "TRAINABLE_TOKENS", "token_indices": [40]}"""), 3);
        foreach (var weight in set.Weights) weight.Trainable = true;
        using var batch = model.Lay([new TokenRow(Ids, [.. Ids.Select(_ => 1f)], "")]);
        using var scope = NewDisposeScope();
        model.NegativeLogLikelihood(batch).backward();
        Assert.Equal(0, set.Weights.Single().Value.grad!.abs().sum().item<float>());
    }

    [Fact]
    public void Layers_hold_for_maps_that_are_named_whole()
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", "gpt2"));
        var configuration = DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, [Socket.Down], Layers: [1]));
        Assert.Equal(["transformer.h.1.mlp.c_proj"], configuration.TargetModules);
        using var set = DeltaSet.Fresh(model, configuration, 1);
        Assert.Equal(["transformer.h.1.mlp.c_proj"], set.Plugged.Select(pair => pair.Target.Name));
    }

    [Fact]
    public void An_encoder_decoder_answers_behind_a_prefix_with_a_cache_as_without()
    {
        using var model = ModelFolder.Open(TextFixtures.At("own", "models", "t5-untied"));
        using var set = DeltaSet.Fresh(model, Of("""{"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4}"""), 5);
        var answer = new TokenGenerator(model, [])
            .Generate([Ids], new SamplingSettings(Temperature: 0, MaxNewTokens: 6), cancellation: TestContext.Current.CancellationToken)[0];
        using var frozen = no_grad();
        List<int> slow = [];
        while (slow.Count < 6)
        {
            using var scope = NewDisposeScope();
            int[] read = [(int)model.Configuration["decoder_start_token_id"]!, .. slow];
            using var batch = model.LayPairs([Ids], [new TokenRow(read, new float[read.Length], "")]);
            slow.Add((int)model.Unembed(model.Hidden(batch).index_select(0, batch.LastPlaces())).argmax(-1).item<long>());
        }
        Assert.Equal(slow, answer);
        Assert.NotEqual(slow, Plain(model, set));
    }

    private static int[] Plain(LanguageModel model, DeltaSet set)
    {
        using var off = set.Off();
        return new TokenGenerator(model, [])
            .Generate([Ids], new SamplingSettings(Temperature: 0, MaxNewTokens: 6), cancellation: TestContext.Current.CancellationToken)[0];
    }
}
