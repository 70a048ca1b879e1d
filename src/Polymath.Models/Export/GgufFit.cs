using Polymath.Models.Families;
using Polymath.Recipes;

namespace Polymath.Models.Export;

/// <summary>Finds models that llama.cpp would compute differently: such a model is refused, with the reason.</summary>
internal static class GgufFit
{
    /// <summary>Refuses a model that llama.cpp would read but compute wrongly.</summary>
    /// <param name="model">The model.</param>
    /// <param name="type">Its type.</param>
    /// <param name="architecture">llama.cpp's name for it.</param>
    internal static void Check(LanguageModel model, string type, string architecture)
    {
        var read = new ConfigReader(model.Configuration);
        if (model.Labels is not null)
            throw new InputException("A model with a head over labels cannot be exported to GGUF; export the language model.");
        if (model is ChatGlm)
            throw new InputException("A model of the type 'chatglm' in ChatGLM-6B's layout cannot be exported to GGUF: llama.cpp reads "
                + "ChatGLM2 and later.");
        var reason = Activation(read, type) ?? new GgufRecent(model, type, architecture).Lacks() ?? type switch
        {
            "gpt2" => Gpt2(read),
            "bloom" when read.Bool("apply_residual_connection_post_layernorm", false) =>
                "adds the norm's input; apply_residual_connection_post_layernorm is true",
            "gemma2" => Gemma2(model, read),
            "qwen3" or "qwen3_moe" when read.Bool("attention_bias", false) => "has no bias on attention's output; attention_bias is true",
            "qwen3_moe" => Qwen3Moe(model, read),
            "chatglm" => ChatGlm2(read),
            "gemma" or "olmo2" or "hunyuan_v1_dense" or "cohere" or "cohere2" when read.Bool("attention_bias", false) =>
                "has no biases in attention; attention_bias is true",
            "ernie4_5" when read.Bool("use_bias", false) => "has no biases; use_bias is true",
            "gemma3_text" => Gemma3(model, read),
            "cohere" when read.Bool("use_qk_norm", false) && model.Sizes.Layers < 64 =>
                "has norms of queries and keys from 64 layers on; use_qk_norm is true",
            "cohere2" => Alternating(model, read, 4),
            "exaone4" when read.Window(4096) > 0 => model.Sizes.Layers == 64 && read.Window(4096) == 4096
                ? Alternating(model, read, 4)
                : "has sliding windows, of 4096 tokens, only where there are 64 layers; this config.json has others",
            "smollm3" => SmolLm3(model, read),
            "stablelm" or "phi" when read.Bool("qk_layernorm", false) => "has no norms of queries and keys; qk_layernorm is true",
            "qwen2_moe" when read.Bool("norm_topk_prob", false) =>
                "leaves the weights of the chosen experts as they are; norm_topk_prob is true",
            "qwen2_moe" => Dense(model),
            "t5" when read.Int("relative_attention_max_distance", 128) != 128 =>
                $"has T5's maximum distance of 128; relative_attention_max_distance is {read.Int("relative_attention_max_distance", 128)}",
            _ => null,
        };
        var sizes = model.Sizes;
        if (type is "phi3" or "chatglm" && sizes.Heads * sizes.HeadWidth != sizes.HiddenSize)
            reason = $"needs heads whose total width is the model's, {sizes.HiddenSize}; {sizes.Heads} of {sizes.HeadWidth} are not";
        if (reason is not null) throw new InputException($"This {type} cannot be exported to GGUF: llama.cpp's {architecture} {reason}.");
    }

    private static string? Activation(ConfigReader read, string type)
    {
        var (key, otherwise) = type switch
        {
            "gpt2" => ("activation_function", "gelu_new"),
            "gpt_neox" => ("hidden_act", "gelu"),
            "gemma2" or "gemma3_text" or "gemma4_text" => ("hidden_activation", "gelu_pytorch_tanh"),
            "gemma" or "starcoder2" => ("hidden_act", "gelu_pytorch_tanh"),
            "phi" => ("hidden_act", "gelu_new"),
            "t5" => ("feed_forward_proj", read.Text("model_type", "t5") == "mt5" ? "gated-gelu" : "relu"),
            _ => ("hidden_act", "silu"),
        };
        if (type is "bloom" or "chatglm" or "falcon") return null;
        var name = read.Text(key, otherwise);
        var known = type switch
        {
            "gpt2" or "gpt_neox" or "gemma" or "gemma2" or "gemma3_text" or "gemma4_text" or "phi" or "starcoder2" =>
                name.StartsWith("gelu", StringComparison.Ordinal),
            "t5" => name is "relu" or "gated-gelu",
            _ => name == "silu",
        };
        return known ? null : $"has another activation than {key}, '{name}'";
    }

    private static string? Gpt2(ConfigReader read) =>
        read.Bool("scale_attn_by_inverse_layer_idx", false) || !read.Bool("scale_attn_weights", true)
            ? "scales attention by the width only; this config.json asks for another scale"
            : null;

    private static string? Gemma2(LanguageModel model, ConfigReader read)
    {
        var sizes = model.Sizes;
        // The largest model has its own scale; llama.cpp recognises it by its 46 layers.
        var width = sizes.Layers == 46 ? (double)sizes.HiddenSize / sizes.Heads : sizes.HeadWidth;
        if (read.Double("query_pre_attn_scalar", 256) != width)
            return $"scales attention by {width}; query_pre_attn_scalar is {read.Double("query_pre_attn_scalar", 256)}";
        foreach (var key in (string[])["attn_logit_softcapping", "final_logit_softcapping"])
            if (read.DoubleOrNone(key, 50) == 0) return $"caps scores and logits; {key} is switched off";
        if (!ReferenceEquals(model.Tokens.Head, model.Tokens.Embedding))
            return "has its head tied to the token vectors; tie_word_embeddings is false";
        var windows = read.Windows(sizes.Layers, layer => layer % 2 == 0, 4096);
        return windows.Where((window, layer) => window > 0 != (layer % 2 == 0)).Any() && read.Window(4096) > 0
            ? "has sliding windows in every other layer from the first; layer_types says otherwise"
            : null;
    }

    private static string? Gemma3(LanguageModel model, ConfigReader read)
    {
        var width = model.Sizes.HeadWidth;
        if (read.Bool("attention_bias", false)) return "has no biases in attention; attention_bias is true";
        if (read.Double("query_pre_attn_scalar", 256) != width)
            return $"scales attention by {width}; query_pre_attn_scalar is {read.Double("query_pre_attn_scalar", 256)}";
        foreach (var key in (string[])["attn_logit_softcapping", "final_logit_softcapping"])
            if (read.Double(key, 0) != 0) return $"has no caps; {key} is set";
        return Alternating(model, read, 6);
    }

    // Every so many layers one has no window.
    private static string? Alternating(LanguageModel model, ConfigReader read, int step)
    {
        var window = read.Window(4096);
        var windows = read.Windows(model.Sizes.Layers, layer => (layer + 1) % step != 0, 4096);
        return window > 0 && windows.Where((own, layer) => own > 0 != ((layer + 1) % step != 0)).Any()
            ? $"has sliding windows in all but every {step}th layer; layer_types says otherwise"
            : null;
    }

    private static string? SmolLm3(LanguageModel model, ConfigReader read)
    {
        if (read.Bool("use_sliding_window", false)) return "has no sliding windows; use_sliding_window is true";
        var turned = read.Numbers("no_rope_layers");
        var interval = read.Int("no_rope_layer_interval", 4);
        bool Turns(int layer) => turned.Count > 0 ? turned[layer] != 0 : (layer + 1) % interval != 0;
        return Enumerable.Range(0, model.Sizes.Layers).Any(layer => Turns(layer) != ((layer + 1) % 4 != 0))
            ? "has rotary positions in all but every 4th layer; no_rope_layers says otherwise"
            : null;
    }

    internal static string? Dense(LanguageModel model)
    {
        var dense = Enumerable.Range(0, model.Sizes.Layers)
            .Where(layer => !model.Projections.Any(projection => projection.Layer == layer && projection.Role == Parts.Role.Router))
            .ToList();
        return dense.Count > 0 ? $"has experts in every layer; layer {dense[0]} has none (mlp_only_layers, decoder_sparse_step)" : null;
    }

    private static string? Qwen3Moe(LanguageModel model, ConfigReader read)
    {
        if (!read.Bool("norm_topk_prob", false)) return "makes the weights of the chosen experts sum to one; norm_topk_prob is false";
        return Dense(model);
    }

    private static string? ChatGlm2(ConfigReader read)
    {
        if (!read.Bool("rmsnorm", true)) return "has RMS norms; rmsnorm is false";
        if (read.Bool("add_bias_linear", false)) return "has biases on query, key and value only; add_bias_linear is true";
        if (read.Bool("apply_residual_connection_post_layernorm", false))
            return "adds the norm's input; apply_residual_connection_post_layernorm is true";
        return read.Bool("post_layer_norm", true) ? null : "has a last norm; post_layer_norm is false";
    }
}
