using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using Polymath.Training.Evaluation;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>The reference numbers of transformers and PEFT: logits, loss, every gradient, greedy tokens, files.</summary>
[Trait("kind", "parity")]
public sealed class ParityTests
{
    public static TheoryData<string, string?> Cases
    {
        get
        {
            var cases = new TheoryData<string, string?>();
            // The peers' cases, and more made the same way (tests/peers/make_methods.py).
            foreach (var folder in Directory.GetDirectories(TextFixtures.At("adapters"))
                .Concat(Directory.GetDirectories(TextFixtures.At("own", "adapters")))
                .Where(folder => Path.GetFileName(folder) != "combine")
                .Order(StringComparer.Ordinal))
                cases.Add(
                    JsonNode.Parse(File.ReadAllBytes(Path.Combine(folder, "reference.json")))!["base"]!.ToString(),
                    Path.GetFileName(folder));
            foreach (var name in Names) cases.Add(name, null);
            return cases;
        }
    }

    public static TheoryData<string> Models => [.. Names];

    // The peers' cases, and more of other shapes and options made the same way (tests/peers/make_models.py).
    private static IEnumerable<string> Names =>
        Roots.SelectMany(Directory.GetDirectories).Select(folder => Path.GetFileName(folder)).Order(StringComparer.Ordinal);

    private static string[] Roots => [TextFixtures.At("models"), TextFixtures.At("families"), TextFixtures.At("own", "models")];

    // Gradients that are zero except for rounding (a key's bias changes all scores of a row equally) differ most: by 4e-5 of the largest,
    // on any CPU.
    private const double Tolerance = 5e-4;

    private static string ModelAt(string name) => Roots.Select(root => Path.Combine(root, name)).First(Directory.Exists);

    private static string? AdapterAt(string? name)
    {
        if (name is null) return null;
        return Directory.Exists(TextFixtures.At("adapters", name))
            ? TextFixtures.At("adapters", name)
            : TextFixtures.At("own", "adapters", name);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_numbers_are_those_of_the_reference(string model, string? adapter)
    {
        var lines = ReferenceCheck.Run(ModelAt(model), AdapterAt(adapter), tolerance: Tolerance);
        Assert.All(lines, line => Assert.True(line.Passed, $"{line}"));
        var names = lines.Select(line => line.Quantity).ToList();
        using var reference = SafetensorsFile.Open(Path.Combine(AdapterAt(adapter) ?? ModelAt(model), "reference.safetensors"));
        // Everything in the reference is compared.
        var always = new[] { "logits", "loss" };
        Assert.Superset(
            always.Concat(new[] { "greedy", "merged_logits" }.Where(reference.Entries.ContainsKey)).ToHashSet(), names.ToHashSet());
        Assert.Equal(reference.Entries.ContainsKey("greedy"), names.Contains("greedy without cache"));
        // PEFT's files lack the encoder of a prompt, and with it the places of its gradients.
        var lost = adapter is "p-tuning-lstm" or "p-tuning-mlp" or "p-tuning-t5" or "prefix-tuning-projection";
        Assert.Equal(lost ? 0 : reference.Entries.Keys.Count(name => name.StartsWith("grad.", StringComparison.Ordinal)), names.Count(
            name => name.StartsWith("grad.", StringComparison.Ordinal)));
        Assert.True(lost || names.Exists(name => name.StartsWith("grad.", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("model.layers.1.mlp.down_proj.weight", "logits")]
    [InlineData("model.norm.weight", "loss")]
    [InlineData("model.layers.2.self_attn.k_proj.weight", "grad.model.layers.1.self_attn.q_proj.weight")]
    public void A_changed_weight_of_the_model_is_noticed(string name, string quantity)
    {
        using var folder = Copy(ModelAt("llama"));
        Change(folder.At("model.safetensors"), name);
        var lines = ReferenceCheck.Run(folder.Path);
        Assert.False(lines.Single(line => line.Quantity == quantity).Passed);
    }

    [Fact]
    public void A_changed_weight_of_an_adapter_is_noticed()
    {
        using var folder = Copy(AdapterAt("lora")!);
        Change(folder.At("adapter_model.safetensors"), "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight");
        var lines = ReferenceCheck.Run(ModelAt("llama"), folder.Path);
        Assert.False(lines.Single(line => line.Quantity == "logits").Passed);
        Assert.False(lines.Single(line => line.Quantity == "merged_logits").Passed);
    }

    // A text model within a multimodal one has other names than its file.
    public static TheoryData<string> OwnNames => [.. Names.Where(name => !IsWrapped(name))];

    public static TheoryData<string> Wrapped => [.. Names.Where(IsWrapped)];

    private static bool IsWrapped(string name) => Json(Path.Combine(ModelAt(name), "config.json"))["text_config"] is not null;

    [Theory]
    [MemberData(nameof(Wrapped))]
    public void A_text_model_within_a_multimodal_one_is_saved_alone_with_the_same_numbers(string name)
    {
        using var folder = new ScratchFolder();
        using (var model = ModelFolder.Open(ModelAt(name)))
        {
            Assert.Contains(model.Notes, note => note.Contains("is a multimodal model; its text model is read", StringComparison.Ordinal));
            ModelFolder.Save(model, folder.Path);
        }
        var again = ReferenceCheck.Run(folder.Path, file: Path.Combine(ModelAt(name), "reference.safetensors"), tolerance: Tolerance);
        Assert.All(again, line => Assert.True(line.Passed, $"{line}"));
    }

    [Theory]
    [MemberData(nameof(OwnNames))]
    public void Names_shapes_and_bytes_of_a_saved_model_are_those_of_the_file(string name)
    {
        using var folder = new ScratchFolder();
        using (var model = ModelFolder.Open(ModelAt(name)))
        {
            using var file = SafetensorsFile.Open(Path.Combine(ModelAt(name), "model.safetensors"));
            // Frequencies that a file holds with its weights are computed, not kept.
            Assert.Equal(
                file.Entries.Keys.Where(key => !key.EndsWith("inv_freq", StringComparison.Ordinal)).Order(StringComparer.Ordinal),
                model.Weights.Select(weight => weight.Name).Order(StringComparer.Ordinal));
            Assert.All(model.Weights, weight => Assert.Equal(file.Entries[weight.Name].Shape, weight.Value.shape));
            ModelFolder.Save(model, folder.Path);
        }
        if (!name.StartsWith("chatglm", StringComparison.Ordinal))
            Assert.Equal(ModelFolder.Hash(ModelAt(name)), ModelFolder.Hash(folder.Path));
        Assert.True(JsonNode.DeepEquals(Json(Path.Combine(ModelAt(name), "config.json")), Json(folder.At("config.json"))));
        var again = ReferenceCheck.Run(folder.Path, file: Path.Combine(ModelAt(name), "reference.safetensors"), tolerance: Tolerance);
        Assert.All(again, line => Assert.True(line.Passed, $"{line}"));
    }

    public static TheoryData<string, string?> Adapters => new(Cases.Select(row => row.Data).Where(row => row.Item2 is not null));

    [Theory]
    [MemberData(nameof(Adapters))]
    public void A_saved_adapter_has_the_keys_values_and_settings_of_the_one_that_was_read(string basis, string? name)
    {
        using var folder = new ScratchFolder();
        using (var model = ModelFolder.Open(ModelAt(basis)))
        using (var deltas = DeltaSet.Load(model, AdapterAt(name)!))
            deltas.Save(folder.Path);
        var own = Path.Combine(AdapterAt(name)!, "adapter_model.safetensors");
        using (SafetensorsFile theirs = SafetensorsFile.Open(own), ours = SafetensorsFile.Open(folder.At("adapter_model.safetensors")))
            Assert.Equal(theirs.Entries.Keys.Order(StringComparer.Ordinal), ours.Entries.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(WeightDigest.Of([own]), WeightDigest.Of([folder.At("adapter_model.safetensors")]));
        Assert.True(
            JsonNode.DeepEquals(Json(Path.Combine(AdapterAt(name)!, "adapter_config.json")), Json(folder.At("adapter_config.json"))));
    }

    [Fact]
    public void A_model_made_here_has_the_names_that_the_family_has()
    {
        using var file = SafetensorsFile.Open(Path.Combine(ModelAt("llama"), "model.safetensors"));
        using var toy = Toy.Model(layers: 3, tied: false);
        Assert.Equal(
            file.Entries.Keys.Order(StringComparer.Ordinal), toy.Weights.Select(weight => weight.Name).Order(StringComparer.Ordinal));
        Assert.Superset(
            toy.Configuration.Select(pair => pair.Key).Except(["torch_dtype", "rope_theta"]).ToHashSet(),
            Json(Path.Combine(ModelAt("llama"), "config.json")).AsObject().Select(pair => pair.Key).ToHashSet());
    }

    [Theory]
    [InlineData("hidden_size", "48", "model.embed_tokens.weight has the shape [199, 64], the configuration needs [199, 48]")]
    [InlineData("num_hidden_layers", "2", "model.layers.2.mlp.up_proj.weight is in the file but not in the model")]
    [InlineData("num_hidden_layers", "4", "model.layers.3.mlp.up_proj.weight [112, 64] is missing")]
    [InlineData("model_type", "\"lama\"", "the family 'lama' is not known; known are llama, mistral")]
    [InlineData("hidden_act", "\"selu\"", "the activation is \"selu\"")]
    [InlineData("num_attention_heads", "0", "num_attention_heads is 0")]
    [InlineData("vocab_size", "null", "vocab_size is missing")]
    [InlineData("num_key_value_heads", "3", "4 heads cannot share 3")]
    public void A_configuration_that_does_not_fit_its_weights_is_refused_by_name(string key, string value, string message)
    {
        using var folder = Copy(ModelAt("llama"));
        var content = Json(folder.At("config.json"));
        content[key] = JsonNode.Parse(value);
        File.WriteAllText(folder.At("config.json"), content.ToJsonString());
        Assert.Contains(message, Assert.Throws<InputException>(() => ModelFolder.Open(folder.Path).Dispose()).Message);
    }

    [Fact]
    public void An_adapter_of_another_model_is_refused_and_leaves_the_model_as_it_was()
    {
        using var folder = Copy(AdapterAt("lora")!);
        using var model = Toy.Model();
        Assert.Contains("has the shape", Assert.Throws<InputException>(() => DeltaSet.Load(model, folder.Path).Dispose()).Message);
        Assert.All(model.Projections, projection => Assert.Empty(projection.Deltas));
    }

    [Theory]
    [InlineData("use_dora", "true")]
    [InlineData("bias", "\"some\"")]
    [InlineData("peft_type", "\"LOTA\"")]
    [InlineData("peft_type", "\"LOHA\"")]
    [InlineData("target_modules", "[\"no_such\"]")]
    [InlineData("r", "0")]
    [InlineData("r", "\"x\"")]
    [InlineData("modules_to_save", "[\"lm_head\"]")]
    public void An_adapter_that_asks_for_what_is_not_known_is_refused(string key, string value)
    {
        using var folder = Copy(AdapterAt("lora")!);
        var content = Json(folder.At("adapter_config.json"));
        content[key] = JsonNode.Parse(value);
        File.WriteAllText(folder.At("adapter_config.json"), content.ToJsonString());
        using var model = ModelFolder.Open(ModelAt("llama"));
        Assert.Throws<InputException>(() => DeltaSet.Load(model, folder.Path).Dispose());
    }

    private static JsonNode Json(string file) => JsonNode.Parse(File.ReadAllText(file))!;

    private static ScratchFolder Copy(string from)
    {
        var folder = new ScratchFolder();
        foreach (var file in Directory.GetFiles(from))
            File.Copy(file, folder.At(Path.GetFileName(file)));
        return folder;
    }

    private static void Change(string path, string name)
    {
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> all;
        using (var file = SafetensorsFile.Open(path))
            all = file.Entries.Keys.ToDictionary(key => key, key => file.Map(key).clone());
        all[name].view(-1)[0] += 0.5f;
        SafetensorsWriter.Write(path, all);
    }

    [Fact]
    public void A_reference_that_holds_nothing_to_compare_or_a_gradient_of_nothing_does_not_pass()
    {
        using var folder = new ScratchFolder();
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> all;
        using (var file = SafetensorsFile.Open(Path.Combine(ModelAt("llama"), "reference.safetensors")))
            all = file.Entries.Keys.ToDictionary(key => key, key => file.Map(key).clone());
        var inputs = all.Where(pair => pair.Key is "input_ids" or "labels" or "attention_mask").ToDictionary();
        SafetensorsWriter.Write(folder.At("empty"), inputs);
        Assert.Contains(
            "holds nothing to compare",
            Assert.Throws<InputException>(() => ReferenceCheck.Run(ModelAt("llama"), file: folder.At("empty"))).Message);
        inputs["grad.no.such.weight"] = zeros(3);
        SafetensorsWriter.Write(folder.At("stray"), inputs);
        Assert.False(ReferenceCheck.Run(ModelAt("llama"), file: folder.At("stray")).Single().Passed);
        inputs["attention_mask"] = ones(2, 2);
        SafetensorsWriter.Write(folder.At("short"), inputs);
        Assert.Contains(
            "attention_mask has 4 entries",
            Assert.Throws<InputException>(() => ReferenceCheck.Run(ModelAt("llama"), file: folder.At("short"))).Message);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Rows_laid_together_have_the_states_of_each_row_alone(string name)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var model = ModelFolder.Open(ModelAt(name));
        // ChatGLM's marks stand where its prompts have them; other families read them as any token.
        int[][] rows = [[5, 6, 191, 194, 7, 8, 9, 10, 11, 12, 13, 14], [20, 190, 194, 21], [30, 31, 32, 33, 34, 35, 191, 194]];
        Tensor States(params int[][] of)
        {
            using var batch = model.Reading == Reading.EncoderDecoder
                ? Batch.Pairs(of, [.. of.Select(row => new Polymath.Text.Packing.TokenRow(row[2..], new float[row.Length - 2], ""))])
                : Batch.Of([.. of.Select(row => new Polymath.Text.Packing.TokenRow(row, new float[row.Length], ""))]);
            return model.Hidden(batch);
        }
        rows = [.. rows.Select(row => Array.ConvertAll(row, id => id % model.Sizes.VocabularySize))];
        // If rotary angles depend on the longest row, all rows of a batch have the same angles, as in transformers: only shorter rows give
        // the same alone.
        if (model.StretchesBeyond < 12) rows = [.. rows.Select(row => row[..Math.Min(row.Length, model.StretchesBeyond.Value)])];
        Polymath.Tests.Tensors.Samples.Near(
            cat([.. rows.Select(row => States(row))], 0), States(rows), Polymath.Tests.Tensors.Samples.Ulps(512), name);
    }
}
