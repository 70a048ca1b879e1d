using Polymath.Models.Parts;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Models.Export;

/// <summary>
/// What llama.cpp needs to know of Gemma 4: layers with and without a window have heads of their own width, and positions of their own.
/// </summary>
/// <param name="model">The model.</param>
internal sealed class GgufGemma4(LanguageModel model)
{
    private readonly ConfigReader read = new(model.Configuration);

    /// <summary>Why llama.cpp would compute it differently; null when it does not.</summary>
    internal string? Lacks()
    {
        if (read.Bool("attention_bias", false)) return "has no biases in attention; attention_bias is true";
        if (!read.HasRopeKinds) return null;
        if (read.RopeOf("full_attention", 1e6).Type != "proportional") return "has proportional positions in layers of full attention; "
            + "rope_parameters says otherwise";
        return read.RopeOf("sliding_attention", 10000) is { Type: "default", Partial: 1 } ? null : "has plain rotary positions in layers "
            + "with a window; rope_parameters says otherwise";
    }

    /// <summary>Adds the settings.</summary>
    /// <param name="file">The file.</param>
    internal void AddTo(GgufWriter file)
    {
        void Size(string key, int value) => file.Add($"gemma4.{key}", value);
        var layers = model.Sizes.Layers;
        int wide = read.Int("global_head_dim", 512), narrow = model.Sizes.HeadWidth, shared = read.Maybe("num_kv_shared_layers") ?? 0;
        var types = read.LayerTypes(
            layers,
            layer => (layer + 1) % 6 == 0 || layer == layers - 1 ? "full_attention" : "sliding_attention",
            "full_attention",
            "sliding_attention");
        bool[] slides = [.. types.Select(kind => kind == "sliding_attention")];
        Size("attention.sliding_window", read.Windows(layers, layer => slides[layer], 512).Max());
        file.Add("gemma4.attention.sliding_window_pattern", slides);
        Size("attention.shared_kv_layers", shared);
        Size("embedding_length_per_layer_input", PerLayer);
        Size("attention.key_length", wide);
        Size("attention.value_length", wide);
        Size("attention.key_length_swa", narrow);
        Size("attention.value_length_swa", narrow);
        int few = model.Sizes.KeyValueHeads, far = FarHeads;
        if (HasOwnHeads) file.Add("gemma4.attention.head_count_kv", (int[])[.. slides.Select(own => own ? few : far)]);
        var inner = read.Int("intermediate_size");
        if (HasOwnWidths)
            file.Add("gemma4.feed_forward_length", (int[])[.. Enumerable.Range(0, layers).Select(
                layer => layer < layers - shared ? inner : 2 * inner)]);
        // Without the key, llama.cpp has a cap of 30.
        file.Add("gemma4.final_logit_softcapping", (float)read.Double("final_logit_softcapping", 0));
        if (read.Bool("enable_moe_block", false))
        {
            Size("expert_count", read.Int("num_experts"));
            Size("expert_used_count", read.Int("top_k_experts", 1));
            Size("expert_feed_forward_length", read.Int("moe_intermediate_size"));
        }
        var full = read.HasRopeKinds ? read.RopeOf("full_attention", 1e6) : new RopeSettings(1e6) { Partial = 0.25 };
        var near = read.HasRopeKinds ? read.RopeOf("sliding_attention", 10000) : new RopeSettings();
        file.Add("gemma4.rope.freq_base", (float)full.Theta);
        file.Add("gemma4.rope.freq_base_swa", (float)near.Theta);
        Size("rope.dimension_count", wide);
        Size("rope.dimension_count_swa", narrow);
        // Only the first part of the frequencies turns; a divisor without end stops the rest.
        var turned = (int)(wide * full.Partial / 2);
        float[] divisors = [.. Enumerable.Range(0, wide / 2).Select(i => i < turned ? 1 : 1e30f)];
        file.Add(new GgufTensor("rope_freqs.weight", [divisors.Length], BlockType.F32, () => tensor(divisors)));
    }

    /// <summary>Whether the layers' feed-forward parts have widths of their own.</summary>
    internal bool HasOwnWidths => read.Bool("use_double_wide_mlp", false);

    /// <summary>Whether the layers have numbers of key heads of their own.</summary>
    internal bool HasOwnHeads => FarHeads != model.Sizes.KeyValueHeads;

    private int FarHeads => read.Bool("attention_k_eq_v", false)
        ? read.Int("num_global_key_value_heads", model.Sizes.KeyValueHeads)
        : model.Sizes.KeyValueHeads;

    private int PerLayer => read.Maybe("hidden_size_per_layer_input") ?? (read.Has("hidden_size_per_layer_input") ? 0 : 256);
}
