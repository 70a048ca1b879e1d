using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Tensors.Files;
using Polymath.Tests.Text.Prompts;
using Polymath.Text.Prompts;
using Polymath.Tuning;
using Polymath.Tuning.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>A model with the soft parts of a reference case, and the weights by their names there.</summary>
internal sealed class SoftCases : IDisposable
{
    private readonly SafetensorsFile? given;
    private readonly List<IDisposable> kept = [];

    public SoftCases(PromptCase read, string? kind = null)
    {
        Case = read;
        Model = ModelFolder.Open(PromptCase.Model(read.Settings["model"]!.GetValue<string>()));
        foreach (var weight in Model.Weights) weight.Trainable = false;
        Expected = SafetensorsFile.Open(Path.Combine(read.Folder, "expected.safetensors"));
        var values = Path.Combine(read.Folder, "params.safetensors");
        if (File.Exists(values)) given = SafetensorsFile.Open(values);
        Attach(kind ?? read.Settings["template_class"]!.GetValue<string>());
    }

    public PromptCase Case { get; }

    public LanguageModel Model { get; }

    public SafetensorsFile Expected { get; }

    /// <summary>The learned tensors by the case's names.</summary>
    public Dictionary<string, Func<Tensor>> Gradients { get; } = [];

    private Weight Take(string name, long[] shape)
    {
        var weight = new Weight(name, given!.Map(name).clone().DetachFromDisposeScope()) { Trainable = true };
        Assert.Equal(shape, weight.Shape);
        Gradients[name] = () => weight.Value.grad!;
        return weight;
    }

    private void Attach(string kind)
    {
        if (kind is "ptuning" or "ptr")
            Model.Tokens.Inline = new EncodedPrompt(
                (int)given!.Map("new_embedding.weight").size(0),
                Model.Sizes.HiddenSize,
                given.Entries.ContainsKey("new_lstm_head.weight_ih_l0"),
                Take);
        else if (kind == "mixed") Mixed();
        else if (kind == "soft")
            Delta(
                new() { ["peft_type"] = "PROMPT_TUNING", ["num_virtual_tokens"] = given!.Map("soft_embeds").size(0) },
                new() { ["prompt_embeddings"] = "soft_embeds" });
        else if (kind.StartsWith("prefix", StringComparison.Ordinal))
            Prefix();
    }

    // The reference's table has a row 0, which no place asks for.
    private void Mixed()
    {
        var table = given!.Map("soft_embedding.weight");
        var weight = new Weight("soft_embedding.weight", table.slice(0, 1, table.size(0), 1).clone().DetachFromDisposeScope())
        {
            Trainable = true,
        };
        Gradients["soft_embedding.weight"] = () => cat([zeros(1, table.size(1)), weight.Value.grad!], 0);
        Model.Tokens.Inline = new MixedPrompt(weight);
    }

    // OpenPrompt's own names are those of an encoder-decoder's two sides; P-tuning v2 has one.
    private void Prefix()
    {
        var held = given!.Entries;
        bool sources = held.ContainsKey("wte.weight"), answers = held.ContainsKey("decoder_wte.weight");
        var names = new Dictionary<string, string>();
        if (sources) Named(names, "source.", "wte.weight", "control_trans");
        if (answers) Named(names, "", "decoder_wte.weight", "decoder_control_trans");
        if (!sources && !answers) Named(names, "", "embedding.weight", "trans");
        var start = names.Values.First(name => name.EndsWith("wte.weight", StringComparison.Ordinal)
            || name == "embedding.weight");
        var settings = new JsonObject
        {
            ["peft_type"] = "PREFIX_TUNING",
            ["num_virtual_tokens"] = given.Map(start).size(0),
        };
        if (sources) settings["prefix_places"] = answers ? "both" : "encoder";
        if (names.FirstOrDefault(pair => pair.Key.EndsWith("transform.0.weight", StringComparison.Ordinal)).Value is { } map)
        {
            settings["prefix_projection"] = true;
            settings["encoder_hidden_size"] = given.Map(map).size(0);
        }
        Delta(settings, names);
    }

    // Our names by theirs; without a network, the vectors themselves are the prefix.
    private void Named(
        Dictionary<string, string> names,
        string before,
        string start,
        string map)
    {
        if (!given!.Entries.ContainsKey(map + ".0.weight"))
        {
            names[before + "prompt_embeddings"] = start;
            return;
        }
        names[before + "embedding.weight"] = start;
        foreach (var part in new[] { "0.weight", "0.bias", "2.weight", "2.bias" })
            names[$"{before}transform.{part}"] = $"{map}.{part}";
    }

    private void Delta(JsonObject settings, Dictionary<string, string> names)
    {
        settings["num_transformer_submodules"] = 1;
        var set = DeltaSet.Fresh(Model, AdapterConfiguration.Of(settings, "the case"), 1);
        kept.Add(set);
        foreach (var (name, weight) in set.Trained)
        {
            var theirs = names.First(pair => name.EndsWith(pair.Key, StringComparison.Ordinal)).Value;
            using (no_grad()) weight.Value.copy_(given!.Map(theirs));
            weight.Trainable = true;
            Gradients[theirs] = () => weight.Value.grad!;
        }
    }

    public PromptRows Rows(string from = "examples")
    {
        var settings = Case.Settings;
        var name = settings["model"]!.GetValue<string>();
        var run = settings["settings"]?.AsObject()
            ?? new JsonObject { ["max_seq_length"] = Length, ["decoder_max_length"] = 4 };
        var prompts = PromptCase.Prompts(name, run, settings["wrapper"]?.GetValue<string>());
        var template = PromptTemplate.Mixed(settings["template"]!.GetValue<string>(), PromptCase.Tokenizer(name));
        PromptRow[] rows = [.. settings[from]!.AsArray()
            .Select(example => prompts.Encode(template, PromptCase.Example(example!)))];
        if (Expected.Entries.ContainsKey("input.input_ids")) SameInputs(rows);
        var laid = new PromptRows(Model, rows);
        kept.Add(laid);
        return laid;
    }

    private int Length => Expected.Entries.ContainsKey("input.input_ids") ? (int)Expected.Map("input.input_ids").size(1) : 100;

    private void SameInputs(PromptRow[] rows)
    {
        var theirs = Expected.Map("input.input_ids");
        for (var r = 0; r < rows.Length; r++)
        {
            var row = theirs[r].data<long>().ToArray();
            Assert.Equal(row[..rows[r].Ids.Length], rows[r].Ids.Select(id => (long)id));
        }
    }

    public void Dispose()
    {
        foreach (var item in kept) item.Dispose();
        Model.Prompt = null;
        given?.Dispose();
        Expected.Dispose();
        Model.Dispose();
    }
}
