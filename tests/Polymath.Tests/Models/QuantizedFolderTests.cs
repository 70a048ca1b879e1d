using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Families;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using Polymath.Training.Evaluation;
using Polymath.Training.Objectives;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>
/// Checkpoints of codes: each layout against numbers that were made before anything was packed (tests/peers/make_quantized.py).
/// </summary>
[Trait("kind", "parity")]
public sealed class QuantizedFolderTests
{
    public static TheoryData<string> Cases =>
        [.. Directory.GetDirectories(TextFixtures.At("own", "quantized")).Select(folder => Path.GetFileName(folder))
        .Order(StringComparer.Ordinal)];

    // Logits here are of the size of one to ten; a code that is read wrongly moves them by tenths.
    private const double Tolerance = 1e-4;

    private static string At(string name) => TextFixtures.At("own", "quantized", name);

    private static ScratchFolder Copy(string name, Action<JsonObject>? configure = null, Action<Dictionary<string, Tensor>>? change = null)
    {
        var folder = new ScratchFolder();
        foreach (var file in Directory.GetFiles(At(name))) File.Copy(file, folder.At(Path.GetFileName(file)));
        var content = (JsonObject)JsonNode.Parse(File.ReadAllText(folder.At("config.json")))!;
        configure?.Invoke(content);
        File.WriteAllText(folder.At("config.json"), content.ToJsonString());
        if (change is null) return folder;
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> all;
        using (var file = SafetensorsFile.Open(folder.At("model.safetensors")))
            all = file.Entries.Keys.ToDictionary(key => key, key => file.Map(key).clone());
        change(all);
        SafetensorsWriter.Write(folder.At("model.safetensors"), all);
        return folder;
    }

    private static string Refusal(ScratchFolder folder) =>
        Assert.Throws<InputException>(() => ModelFolder.Open(folder.Path).Dispose()).Message;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Codes_are_read_as_the_numbers_that_they_stand_for(string name)
    {
        var notes = new List<string>();
        var lines = ReferenceCheck.Run(At(name), tolerance: Tolerance, tell: notes.Add);
        Assert.Equal(["logits", "loss"], lines.Select(line => line.Quantity).Order(StringComparer.Ordinal));
        Assert.All(lines, line => Assert.True(line.Passed, $"{line}"));
        Assert.Contains("they are decoded when read", Assert.Single(notes));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void What_was_read_is_written_as_an_ordinary_model(string name)
    {
        using var folder = new ScratchFolder();
        using (var model = ModelFolder.Open(At(name))) ModelFolder.Save(model, folder.Path);
        var content = (JsonObject)JsonNode.Parse(File.ReadAllText(folder.At("config.json")))!;
        Assert.False(content.ContainsKey("quantization_config") || content.ContainsKey("compression_config"));
        using (var model = ModelFolder.Open(folder.Path)) Assert.Empty(model.Notes);
        var lines = ReferenceCheck.Run(folder.Path, file: Path.Combine(At(name), "reference.safetensors"), tolerance: Tolerance);
        Assert.All(lines, line => Assert.True(line.Passed, $"{line}"));
    }

    [Fact]
    public void A_model_of_codes_trains()
    {
        using var training = new ToyTraining(new FullMethod(), items: [new Item([Toy.Row(12, vocabulary: 29)])],
            model: (Llama)ModelFolder.Open(At("gptq")), tokens: 12);
        var before = Toy.Values(training.Model.Weights);
        var steps = training.Train(1, 6);
        Assert.All(training.Model.Weights, weight => Assert.NotEqual(before[weight.Name], Toy.Values([weight])[weight.Name]));
        Assert.True(steps[^1].Loss < steps[0].Loss);
    }

    [Theory]
    [InlineData("hqq")]
    [InlineData("quanto")]
    [InlineData("aqlm")]
    [InlineData("eetq")]
    [InlineData("quark")]
    [InlineData("torchao")]
    [InlineData("gguf")]
    public void A_method_that_is_not_read_is_refused_by_its_name(string method)
    {
        using var folder = Copy("gptq", content => content["quantization_config"]!["quant_method"] = method);
        var message = Refusal(folder);
        Assert.Contains($"holds weights that {method} quantized", message);
        Assert.Contains("Fetch the model they were made from", message);
    }

    [Theory]
    [InlineData("gptq", "checkpoint_format", "\"marlin\"", "checkpoint_format is 'marlin'")]
    [InlineData("gptq", "is_marlin_format", "true", "checkpoint_format is 'marlin'")]
    [InlineData("gptq-v2", "bits", "3", "GPTQ of 3 bits is not read")]
    [InlineData("gptq", "bits", "null", "GPTQ's bits are missing")]
    [InlineData("awq", "version", "\"gemv\"", "AWQ of version 'gemv'")]
    [InlineData("awq", "backend", "\"llm-awq\"", "backend 'llm-awq'")]
    [InlineData("awq", "group_size", "5", "which groups of 5 do not fill")]
    [InlineData("ct-pack", "format", "\"marlin-24\"", "format 'marlin-24' is not read")]
    [InlineData("ct-pack", "sparsity_config", "{\"format\": \"sparse-24-bitmask\"}", "format 'sparse-24-bitmask' is not read")]
    [InlineData("ct-pack", "config_groups", "{\"a\": {\"weights\": {\"num_bits\": 8}}}", "codes of 8 bits; 2, 4 and 8 are read")]
    public void A_layout_that_is_not_read_is_refused_by_what_it_says(string name, string key, string value, string message)
    {
        using var folder = Copy(name, content => content["quantization_config"]![key] = JsonNode.Parse(value));
        Assert.Contains(message, Refusal(folder));
    }

    [Theory]
    [InlineData("gptq", "model.layers.0.mlp.up_proj.qzeros")]
    [InlineData("awq", "model.layers.0.mlp.up_proj.scales")]
    [InlineData("bnb-nf4", "model.layers.0.mlp.up_proj.weight.nested_absmax")]
    [InlineData("bnb-nf4", "model.layers.0.mlp.up_proj.weight.quant_map")]
    [InlineData("ct-pack", "model.layers.0.mlp.up_proj.weight_shape")]
    [InlineData("fp8-block", "model.layers.0.mlp.up_proj.weight_scale_inv")]
    public void A_missing_part_is_named(string name, string part)
    {
        using var folder = Copy(name);
        // Another name of the same length leaves the rest of the file as it is.
        var content = File.ReadAllBytes(folder.At("model.safetensors"));
        var at = content.AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes($"\"{part}\""));
        Assert.True(at > 0);
        content[at + part.Length] = (byte)'_';
        File.WriteAllBytes(folder.At("model.safetensors"), content);
        Assert.Contains(part, Refusal(folder));
    }

    [Theory]
    [InlineData("bnb-int8", "model.layers.0.self_attn.q_proj.weight is I8: codes of a quantized weight")]
    [InlineData("gptq", "model.layers.0.self_attn.q_proj.weight [32, 32] is missing")]
    public void Codes_without_a_method_are_never_weights_whatever_is_allowed(string name, string message)
    {
        using var folder = Copy(name, content => content.Remove("quantization_config"), all =>
        {
            foreach (var key in all.Keys.Where(key => key.EndsWith("SCB", StringComparison.Ordinal)).ToList()) all.Remove(key);
        });
        using var file = SafetensorsFile.Open(folder.At("model.safetensors"));
        var refused = Assert.Throws<InputException>(() => ModelFolder.Open(folder.Path, [.. file.Entries.Keys]).Dispose()).Message;
        Assert.Contains(message, refused);
    }

    [Theory]
    [InlineData("q_proj.packed", "_scale")]
    [InlineData("experts.gate_up_proj", "_scale_inv")]
    public void Scaled_floats_of_eight_bits_in_a_layout_that_is_not_read_are_never_weights(string name, string ending)
    {
        using var folder = new ScratchFolder();
        var file = folder.At("codes.safetensors");
        var header = new JsonObject
        {
            [name] = JsonNode.Parse("""{"dtype": "F8_E4M3", "shape": [2, 4, 4], "data_offsets": [0, 32]}"""),
            [name + ending] = JsonNode.Parse("""{"dtype": "F32", "shape": [2], "data_offsets": [32, 40]}"""),
        };
        var text = System.Text.Encoding.UTF8.GetBytes(header.ToJsonString().PadRight(256));
        File.WriteAllBytes(file, [.. BitConverter.GetBytes((long)text.Length), .. text, .. new byte[40]]);
        foreach (var allowed in new string[][] { [], [name, name + ending] })
        {
            using var weights = new FileWeights([file], "folder", allowed: allowed);
            weights.Decode([], folder.Path);
            weights.GetPart(
                $"{name}.0",
                name,
                0,
                0,
                1,
                4,
                4);
            var message = Assert.Throws<InputException>(() => weights.Finish([])).Message;
            Assert.Contains($"{name} is F8_E4M3 with scales of its own, in a layout that is not read", message);
            Assert.DoesNotContain("--allow", message);
        }
    }

    [Fact]
    public void Codes_that_say_what_they_are_need_no_method_and_old_settings_stand_beside()
    {
        foreach (var name in new[] { "bnb-nf4", "bnb-int8", "fp8-block" })
        {
            using var bare = Copy(name, content => content.Remove("quantization_config"));
            // Blocks that fill a weight are told by its scales.
            if (name == "fp8-block") Assert.Contains("matches no layout of scales", Refusal(bare));
            else Assert.All(ReferenceCheck.Run(bare.Path, tolerance: Tolerance), line => Assert.True(line.Passed, $"{line}"));
        }
        using var old = Copy("gptq", content => content.Remove("quantization_config"));
        File.WriteAllText(old.At("quantize_config.json"), """{"bits": 4, "group_size": 16, "desc_act": false}""");
        Assert.All(ReferenceCheck.Run(old.Path, tolerance: Tolerance), line => Assert.True(line.Passed, $"{line}"));
    }

    [Fact]
    public void A_method_over_weights_in_full_is_told_and_reads_them_as_they_are()
    {
        using var folder = new ScratchFolder();
        using (var model = Toy.Model()) ModelFolder.Save(model, folder.Path);
        var content = (JsonObject)JsonNode.Parse(File.ReadAllText(folder.At("config.json")))!;
        content["quantization_config"] = new JsonObject { ["load_in_4bit"] = true };
        File.WriteAllText(folder.At("config.json"), content.ToJsonString());
        using var opened = ModelFolder.Open(folder.Path);
        Assert.Contains("its weights are stored in full", Assert.Single(opened.Notes));
    }
}
