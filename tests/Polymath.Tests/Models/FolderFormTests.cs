using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>
/// Folders that hold weights in several forms, a head that the configuration does not expect, or an adapter: what transformers takes is
/// taken, and told.
/// </summary>
[Trait("kind", "unit")]
public sealed class FolderFormTests
{
    private static readonly int[] Text = [3, 1, 4, 15, 9, 2, 6];

    private static ScratchFolder Saved(long seed, bool tied = true, long shardSize = long.MaxValue)
    {
        var folder = new ScratchFolder();
        using var model = Toy.Model(seed, tied: tied);
        ModelWriter.Write(model, folder.Path, ScalarType.Float32, shardSize);
        return folder;
    }

    private static void Configure(ScratchFolder folder, Action<JsonObject> change)
    {
        var content = (JsonObject)JsonNode.Parse(File.ReadAllText(folder.At("config.json")))!;
        change(content);
        File.WriteAllText(folder.At("config.json"), content.ToJsonString());
    }

    private static void Change(ScratchFolder folder, Action<Dictionary<string, Tensor>> change)
    {
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> all;
        using (var file = SafetensorsFile.Open(folder.At("model.safetensors")))
            all = file.Entries.Keys.ToDictionary(key => key, key => file.Map(key).clone());
        change(all);
        SafetensorsWriter.Write(folder.At("model.safetensors"), all);
    }

    private static (float[] Logits, IReadOnlyList<string> Notes, bool Tied) Opened(string folder)
    {
        using var model = ModelFolder.Open(folder);
        return (Toy.Logits(model, Text), model.Notes, model.Tokens.IsTied);
    }

    [Fact]
    public void One_file_is_taken_before_shards_and_the_shards_are_told()
    {
        using var folder = Saved(1);
        using var old = Saved(2, shardSize: 8000);
        Assert.True(Directory.GetFiles(old.Path, "model-*.safetensors").Length > 1);
        foreach (var file in Directory.GetFiles(old.Path, "model*")) File.Copy(file, folder.At(Path.GetFileName(file)));
        using var right = Toy.Model(1);
        var (logits, notes, _) = Opened(folder.Path);
        Assert.Equal(Toy.Logits(right, Text), logits);
        Assert.Contains("model.safetensors is read, as in transformers; ignored: model.safetensors.index.json", Assert.Single(notes));
        Assert.Empty(Opened(old.Path).Notes);
    }

    [Fact]
    public void The_order_of_the_forms_is_that_of_transformers()
    {
        using var folder = new ScratchFolder();
        File.WriteAllText(folder.At("model.fp16.safetensors"), "");
        Assert.Contains("It has the variant model.fp16.safetensors",
            Assert.Throws<InputException>(() => ModelFolder.Files(folder.Path)).Message);
        File.WriteAllText(folder.At("model-q4_k_m.gguf"), "");
        Assert.Contains("model-q4_k_m.gguf is a file for llama.cpp",
            Assert.Throws<InputException>(() => ModelFolder.Files(folder.Path)).Message);
        foreach (var (name, first) in new[]
        {
            ("pytorch_model.bin.index.json", "a.bin"), ("pytorch_model.bin", "pytorch_model.bin"),
            ("model.safetensors.index.json", "b.safetensors"), ("model.safetensors", "model.safetensors"),
        })
        {
            File.WriteAllText(folder.At(name), new JsonObject { ["weight_map"] = new JsonObject { ["x"] = first } }.ToJsonString());
            Assert.Equal(folder.At(first), Assert.Single(ModelFolder.Files(folder.Path)));
        }
    }

    [Theory]
    [InlineData("./model-1.safetensors", "model-1.safetensors")]
    [InlineData("././model-1.safetensors", "model-1.safetensors")]
    [InlineData("parts/model-1.safetensors", "parts/model-1.safetensors")]
    [InlineData("parts/./model-1.safetensors", "parts/model-1.safetensors")]
    [InlineData("../model-1.safetensors", null)]
    [InlineData("parts/../../model-1.safetensors", null)]
    [InlineData("/etc/model-1.safetensors", null)]
    [InlineData("..\\model-1.safetensors", null)]
    [InlineData("C:model-1.safetensors", null)]
    [InlineData("", null)]
    [InlineData("./", null)]
    public void An_index_names_files_below_its_folder_and_no_others(string entry, string? file)
    {
        using var folder = new ScratchFolder();
        var index = new JsonObject { ["weight_map"] = new JsonObject { ["a"] = entry, ["b"] = entry } };
        File.WriteAllText(folder.At("model.safetensors.index.json"), index.ToJsonString());
        if (file is not null) Assert.Equal(Path.Combine(folder.Path, file), Assert.Single(ModelFolder.Files(folder.Path)));
        else Assert.Contains("which is not a file of this folder",
            Assert.Throws<InputException>(() => ModelFolder.Files(folder.Path)).Message);
    }

    [Fact]
    public void A_tied_configuration_with_another_head_reads_the_head_and_says_so()
    {
        using var folder = Saved(1, tied: false);
        float[] right;
        using (var apart = ModelFolder.Open(folder.Path)) right = Toy.Logits(apart, Text);
        Configure(folder, content => content["tie_word_embeddings"] = true);
        var (logits, notes, tied) = Opened(folder.Path);
        Assert.False(tied);
        Assert.Equal(right, logits);
        Assert.Contains("lm_head.weight and model.embed_tokens.weight with different values", Assert.Single(notes));
        // After saving, the configuration describes the weights correctly.
        using var written = new ScratchFolder();
        using (var model = ModelFolder.Open(folder.Path)) ModelFolder.Save(model, written.Path);
        Assert.Empty(Opened(written.Path).Notes);
        Assert.Equal(right, Opened(written.Path).Logits);
    }

    [Fact]
    public void A_head_that_is_the_table_is_tied_also_where_only_one_of_them_is_stored()
    {
        using var folder = Saved(1);
        var (right, _, _) = Opened(folder.Path);
        Change(folder, all => all["lm_head.weight"] = all["model.embed_tokens.weight"].clone());
        var both = Opened(folder.Path);
        Change(folder, all => all.Remove("model.embed_tokens.weight"));
        var head = Opened(folder.Path);
        Assert.Equal((true, true), (both.Tied, head.Tied));
        Assert.Equal(right, both.Logits);
        Assert.Equal(right, head.Logits);
        Assert.Empty(both.Notes.Concat(head.Notes));
    }

    [Theory]
    [InlineData("""{"type": "ntk", "factor": 2.0}""", "rope_type is \"ntk\"")]
    [InlineData("""{"rope_type": "llama3", "factor": 8.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}""",
        "rope_scaling.low_freq_factor is missing")]
    [InlineData("""{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 16}""",
        "rope_scaling.high_freq_factor is missing")]
    [InlineData("""{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}""",
        "rope_scaling.original_max_position_embeddings is missing")]
    [InlineData("""{"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}""",
        "rope_scaling.factor is missing")]
    [InlineData("""{"type": "dynamic"}""", "rope_scaling.factor is missing")]
    [InlineData("""{"type": "linear"}""", "rope_scaling.factor is missing")]
    [InlineData("""{"type": "yarn", "original_max_position_embeddings": 16}""", "rope_scaling.factor is missing")]
    [InlineData("""{"type": "longrope", "long_factor": [1.0, 1.0, 1.0]}""", "rope_scaling.short_factor is missing")]
    [InlineData("""{"type": "su", "short_factor": [1.0, 1.0, 1.0]}""", "rope_scaling.long_factor is missing")]
    [InlineData("""{"type": "longrope", "short_factor": [1.0, 1.0], "long_factor": [1.0, 1.0, 1.0]}""", "short_factor has 2 numbers")]
    [InlineData("""{"full_attention": {"rope_type": "default"}}""", "has settings of its own for \"full_attention\"")]
    [InlineData("2.0", "rope_scaling is 2.0, not an object")]
    public void Turns_that_lack_a_setting_are_refused_by_its_name(string scaling, string message)
    {
        using var folder = Saved(1);
        Configure(folder, content => content["rope_scaling"] = JsonNode.Parse(scaling));
        Assert.Contains(message, Assert.Throws<InputException>(() => ModelFolder.Open(folder.Path).Dispose()).Message);
    }

    [Theory]
    [InlineData("\"org/base\"", "It was trained on hf:org/base", "polymath adapter merge hf:org/base --adapter")]
    [InlineData("null", "It does not say on which model it was trained", "MODEL --adapter")]
    public void An_adapter_in_a_models_place_asks_for_its_base(string name, string origin, string command)
    {
        using var folder = new ScratchFolder();
        File.WriteAllText(folder.At("adapter_config.json"), $$"""{"peft_type": "LORA", "base_model_name_or_path": {{name}}}""");
        foreach (var open in new Action[] { () => ModelFolder.Open(folder.Path).Dispose(), () => TextModel.Locate(folder.Path), () =>
            ModelFolder.ContextLength(folder.Path) })
        {
            var message = Assert.Throws<InputException>(open).Message;
            Assert.Contains("is an adapter (adapter_config.json), not a model", message);
            Assert.Contains(origin, message);
            Assert.Contains(command, message);
        }
    }

    [Fact]
    public void An_adapter_s_folder_that_also_has_a_configuration_asks_for_its_base_too()
    {
        using var folder = Saved(1);
        File.Delete(folder.At("model.safetensors"));
        File.WriteAllText(folder.At("adapter_config.json"), """{"peft_type": "LORA", "base_model_name_or_path": "org/base"}""");
        File.WriteAllText(folder.At("adapter_model.safetensors"), "");
        var message = Assert.Throws<InputException>(() => ModelFolder.Open(folder.Path).Dispose()).Message;
        Assert.Contains("It holds an adapter (adapter_config.json). It was trained on hf:org/base.", message);
        Assert.Contains($"hf:org/base --adapter {folder.Path}", message);
    }

    [Fact]
    public void An_adapter_beside_a_model_is_told_and_not_put_on()
    {
        using var folder = Saved(1);
        File.WriteAllText(folder.At("adapter_config.json"), "{}");
        Assert.Contains("holds an adapter next to the model", Assert.Single(Opened(folder.Path).Notes));
    }
}
