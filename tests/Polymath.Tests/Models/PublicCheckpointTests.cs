using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>
/// Checkpoints after public reports: names that wrappers of training or bare models leave, heads that are missing or tied, pointers in
/// place of weights, shards that are missing or hold a weight twice, and settings in their older words. Each is read as what it says, or
/// refused by name.
/// </summary>
[Trait("kind", "unit")]
public sealed class PublicCheckpointTests : IDisposable
{
    private static readonly int[] Text = [3, 1, 4, 15, 9, 2, 6];
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private void Save(bool tied = false, long shardSize = long.MaxValue)
    {
        using var model = Toy.Model(1, tied: tied);
        ModelWriter.Write(model, folder.Path, ScalarType.Float32, shardSize);
    }

    private void Rename(Func<string, string?> renamed)
    {
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> all;
        using (var file = SafetensorsFile.Open(folder.At("model.safetensors")))
            all = file.Entries.Keys.Where(key => renamed(key) is not null).ToDictionary(key => renamed(key)!, key => file.Map(key).clone());
        SafetensorsWriter.Write(folder.At("model.safetensors"), all);
    }

    private void Configure(Action<JsonObject> change)
    {
        var content = (JsonObject)JsonNode.Parse(File.ReadAllText(folder.At("config.json")))!;
        change(content);
        File.WriteAllText(folder.At("config.json"), content.ToJsonString());
    }

    private (float[] Logits, IReadOnlyList<string> Notes) Opened()
    {
        using var model = ModelFolder.Open(folder.Path);
        return (Toy.Logits(model, Text), model.Notes);
    }

    private string Fault() => Assert.Throws<InputException>(() => ModelFolder.Open(folder.Path)).Message;

    [Theory]
    [InlineData("karpathy/nanoGPT#325", "_orig_mod.")]
    [InlineData("FareedKhan-dev/train-llm-from-scratch#36", "module._orig_mod.")]
    [InlineData("FareedKhan-dev/train-llm-from-scratch#36", "module.")]
    public void Names_under_wrappers_of_training_are_read_without_them(string source, string wrapper)
    {
        Save();
        var (right, _) = Opened();
        Rename(name => wrapper + name);
        var (logits, notes) = Opened();
        Assert.Equal(right, logits);
        Assert.True(notes.Any(note => note.Contains($"begin with \"{wrapper}\"", StringComparison.Ordinal)), source);
    }

    [Fact]
    public void A_prefix_that_only_some_names_have_is_no_wrapper()
    {
        Save();
        Rename(name => name.StartsWith("lm_head", StringComparison.Ordinal) ? name : "module." + name);
        Assert.Matches(@"model\.embed_tokens\.weight \[.*\] is missing", Fault());
    }

    // vllm-project/vllm-metal#730: embedding models are published without "model." before their names.
    [Fact]
    public void A_bare_model_with_a_tied_head_is_read()
    {
        Save(tied: true);
        var (right, _) = Opened();
        Rename(name => name["model.".Length..]);
        Assert.Equal(right, Opened().Logits);
    }

    // QwenLM/Qwen3-VL-Embedding#89: no head in the files, and the configuration does not tie it.
    [Fact]
    public void A_missing_head_is_refused_with_the_key_that_ties_it()
    {
        Save();
        Rename(name => name == "lm_head.weight" ? null : name);
        var fault = Fault();
        Assert.Contains("lm_head.weight", fault);
        Assert.Contains("\"tie_word_embeddings\": true", fault);
        Configure(content => content["tie_word_embeddings"] = true);
        Assert.NotEmpty(Opened().Logits);
    }

    // huggingface/transformers#27923: a clone without Git LFS leaves pointers in place of weights.
    [Fact]
    public void A_pointer_in_place_of_weights_is_named()
    {
        Save();
        folder.Write("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9976576152\n");
        Assert.Contains("model.safetensors is a pointer of Git LFS", Fault());
        Assert.Contains("git lfs pull", Fault());
    }

    // sgl-project/sglang#32279: a shard that the index names is missing, and its weights stay what memory held.
    [Fact]
    public void A_shard_that_is_missing_is_refused_by_name()
    {
        Save(shardSize: 8000);
        var shard = Directory.GetFiles(folder.Path, "model-*.safetensors").Order(StringComparer.Ordinal).Last();
        File.Delete(shard);
        Assert.Contains(Path.GetFileName(shard), Fault());
    }

    // vllm-project/vllm#54230: a stale copy in another shard is read over the right weight.
    [Fact]
    public void A_weight_in_two_shards_is_refused_with_both()
    {
        Save(shardSize: 8000);
        var shards = Directory.GetFiles(folder.Path, "model-*.safetensors").Order(StringComparer.Ordinal).ToList();
        using (var scope = NewDisposeScope())
        {
            Dictionary<string, Tensor> all;
            using (var last = SafetensorsFile.Open(shards[^1]))
                all = last.Entries.Keys.ToDictionary(key => key, key => last.Map(key).clone());
            using (var first = SafetensorsFile.Open(shards[0]))
                all[first.Entries.Keys.First()] = first.Map(first.Entries.Keys.First()).clone();
            SafetensorsWriter.Write(shards[^1], all);
        }
        var fault = Fault();
        Assert.Contains(" is in ", fault);
        Assert.Contains(Path.GetFileName(shards[^1]), fault);
    }

    // huggingface/transformers#32167: the older word "type", or none at all, where "rope_type" is looked for.
    [Theory]
    [InlineData("""{"type": "linear", "factor": 2.0}""", """{"rope_type": "linear", "factor": 2.0}""")]
    [InlineData("null", """{"rope_type": "default"}""")]
    [InlineData("""{"type": "linear", "rope_type": "linear", "factor": 2.0}""", """{"rope_type": "linear", "factor": 2.0}""")]
    public void Older_words_for_the_stretch_mean_the_same(string older, string newer)
    {
        float[] With(string scaling)
        {
            Save();
            Configure(content =>
            {
                content.Remove("rope_parameters");
                (content["rope_theta"], content["rope_scaling"]) = (10000, JsonNode.Parse(scaling));
            });
            return Opened().Logits;
        }
        Assert.Equal(With(newer), With(older));
    }

    // huggingface/candle#2358 and InternLM/lmdeploy#2761: a width of the heads that is not the model's over their number.
    [Fact]
    public void A_width_of_heads_that_is_said_counts()
    {
        Save();
        Configure(content => content["head_dim"] = 2 * content["hidden_size"]!.GetValue<int>());
        Assert.Contains("q_proj.weight has the shape", Fault());
        Configure(content => content["head_dim"] = null);
        Assert.NotEmpty(Opened().Logits);
    }
}
