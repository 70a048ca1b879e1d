using Polymath.Models.Parts;
using Polymath.Tensors.Files;

namespace Polymath.Models.Export;

/// <summary>What llama.cpp needs to know of mixtures of experts, latent attention and recurrent layers, and what it lacks.</summary>
/// <param name="model">The model.</param>
/// <param name="type">Its type.</param>
/// <param name="architecture">llama.cpp's name for it.</param>
internal sealed class GgufRecent(LanguageModel model, string type, string architecture)
{
    private const int Softmax = 1, Sigmoid = 2;
    private readonly ConfigReader read = new(model.Configuration);

    /// <summary>The number of a head's elements that are rotated.</summary>
    internal int Rotated => type is "deepseek_v2" or "deepseek_v3" or "minicpm3"
        ? read.Int("qk_rope_head_dim", 64)
        : (int)(model.Sizes.HeadWidth * (model.Rope?.Partial ?? 1));

    /// <summary>Why llama.cpp would compute it differently; null when it does not.</summary>
    internal string? Lacks() => type switch
    {
        "falcon" => Falcon(),
        "internlm2" when read.Bool("bias", false) => "has no biases; bias is true",
        "baichuan" => Baichuan(),
        "granitemoe" when read.Bool("attention_bias", false) => "has no biases in attention; attention_bias is true",
        "gpt_oss" => GptOss(),
        "glm4_moe" => Glm4Moe(),
        "deepseek_v2" or "deepseek_v3" => DeepSeek(),
        "qwen3_next" => Qwen3Next(),
        "qwen3_5_text" or "qwen3_5_moe_text" => LinearAttention(),
        "mamba2" => Mamba2(),
        "qwen" when !read.Bool("no_bias", true) => "has no biases but those of query, key and value; no_bias is false",
        "olmo3" => Olmo3(),
        "ministral3" => Ministral3(),
        "minicpm3" => MiniCpm3(),
        "llama4_text" => Llama4(),
        "gemma4_text" => new GgufGemma4(model).Lacks(),
        _ => null,
    };

    private string? Falcon()
    {
        if (read.Bool("alibi", false)) return "rotates positions; alibi is true";
        if (read.Bool("bias", false)) return "has no biases; bias is true";
        if (!read.Bool("parallel_attn", true) && !read.Bool("new_decoder_architecture", false))
            return "has attention and feed-forward part side by side; parallel_attn is false";
        return read.Text("activation", "gelu") == "gelu" ? null : $"has GELU; activation is '{read.Text("activation", "gelu")}'";
    }

    // The number of layers says which of the two kinds of positions there is.
    private string? Baichuan() => (model.Rope is null, model.Sizes.Layers) switch
    {
        (false, 32) or (true, 40) => null,
        (var linear, var layers) => "takes a model of 32 layers as rotated and one of 40 as biased by distance, and no other; "
            + $"this one has {layers} layers {(linear ? "with linear biases" : "with rotary positions")}",
    };

    private string? GptOss()
    {
        if (!read.Bool("attention_bias", true)) return "has biases in attention; attention_bias is false";
        if (read.Double("swiglu_limit", 7) != 7) return $"clips at 7; swiglu_limit is {read.Double("swiglu_limit", 7)}";
        var windows = read.Windows(model.Sizes.Layers, layer => layer % 2 == 0, 128);
        return windows.Where((window, layer) => window > 0 != (layer % 2 == 0)).Any()
            ? "has sliding windows in every other layer from the first; layer_types says otherwise"
            : null;
    }

    private string? Glm4Moe()
    {
        if (read.Maybe("n_group") is > 1 and var groups) return $"has no groups of experts; n_group is {groups}";
        if (read.Maybe("n_shared_experts") is 0) return "has shared experts; n_shared_experts is 0";
        return null;
    }

    private string? DeepSeek()
    {
        var second = type == "deepseek_v2";
        if (!second && !read.Bool("rope_interleave", true)) return "rotates neighbours; rope_interleave is false";
        foreach (var key in new[] { "attention_bias", "mlp_bias" })
            if (read.Bool(key, false)) return $"has no biases; {key} is true";
        if (read.Int("moe_layer_freq", 1) != 1) return $"has experts in every layer after the first ones; moe_layer_freq is not 1";
        if (read.Maybe("q_lora_rank") is null or 0 && model.Sizes.Layers is not (26 or 27))
            return "takes queries without latent vectors for those of the small model, of 27 layers; q_lora_rank is null, and there are "
                + $"{model.Sizes.Layers} layers";
        if (second && read.Text("topk_method", "greedy") != "greedy" && read.Maybe("n_group") is > 1)
            return "chooses groups by their best two experts; topk_method is \"group_limited_greedy\", by the best one";
        // Weights of a sum of one are not scaled here either.
        if (second && read.Bool("norm_topk_prob", false) && read.Double("routed_scaling_factor", 1) != 1)
            return "scales weights that were brought to a sum of one; norm_topk_prob is true";
        if (model.Rope is { Type: "yarn" } && read.OfRope("mscale", 1) != read.OfRope("mscale_all_dim", 0))
            return "has one scale for all of YaRN; mscale and mscale_all_dim differ";
        return read.Double("rms_norm_eps", 1e-6) == 1e-6
            ? null
            : "has one epsilon for all norms; rms_norm_eps is not 1e-6, as in the latent vectors";
    }

    private string? Qwen3Next() => read.Bool("norm_topk_prob", true)
        ? LinearAttention() ?? GgufFit.Dense(model)
        : "makes the weights of the chosen experts sum to one; norm_topk_prob is false";

    private string? LinearAttention()
    {
        if (read.Bool("attention_bias", false)) return "has no biases in attention; attention_bias is true";
        if (read.Int("linear_value_head_dim", 128) != read.Int("linear_key_head_dim", 128))
            return "has heads of one width in linear attention; linear_key_head_dim and linear_value_head_dim differ";
        var interval = Interval;
        return FullLayers().Where((full, layer) => full != ((layer + 1) % interval == 0)).Any()
            ? $"has full attention in every layer whose number is a multiple of one number ({interval}); layer_types says otherwise"
            : null;
    }

    private bool[] FullLayers()
    {
        var interval = read.Int("full_attention_interval", 4);
        var types = read.LayerTypes(
            model.Sizes.Layers,
            layer => (layer + 1) % interval == 0 ? "full_attention" : "linear_attention",
            "full_attention",
            "linear_attention");
        return [.. types.Select(kind => kind == "full_attention")];
    }

    // Every so many layers one has full attention.
    private int Interval => Array.IndexOf(FullLayers(), true) is >= 0 and var first ? first + 1 : read.Int("full_attention_interval", 4);

    private string? Olmo3()
    {
        if (read.Bool("attention_bias", false)) return "has no biases in attention; attention_bias is true";
        var windows = read.Windows(model.Sizes.Layers, layer => (layer + 1) % 4 != 0, 4096);
        return windows.Where((window, layer) => window > 0 != ((layer + 1) % 4 != 0)).Any()
            ? "has sliding windows in all but every 4th layer; layer_types says otherwise"
            : null;
    }

    private string? Ministral3()
    {
        if (model.Rope is not { Type: "yarn" }) return "has YaRN's positions; rope_parameters says otherwise";
        return read.OfRope("mscale", 1) == read.OfRope("mscale_all_dim", 1) ? null : "has one scale for all of YaRN; mscale and "
            + "mscale_all_dim differ";
    }

    // These are written into llama.cpp.
    private string? MiniCpm3()
    {
        if (read.Bool("attention_bias", false)) return "has no biases in attention; attention_bias is true";
        foreach (var (key, value) in new[] { ("scale_emb", 12.0), ("scale_depth", 1.4), ("dim_model_base", 256) })
            if (read.Double(key, 1) is var own && own != value) return $"has the factor {value} of {key}; this config.json has {own}";
        if (read.Maybe("q_lora_rank") is null or 0) return "has queries with latent vectors; q_lora_rank is null";
        if (model.Rope is not { Type: "default" or "longrope" }) return "has plain or longrope positions; rope_parameters says otherwise";
        return read.Int("v_head_dim", 0) is var width && width > 0 && width * model.Sizes.Heads != model.Sizes.HiddenSize
            ? "has heads of values whose total width is the model's; v_head_dim says otherwise"
            : null;
    }

    private string? Llama4()
    {
        const int Length = 8192;
        if (read.Bool("attention_bias", false)) return "has no biases in attention; attention_bias is true";
        int layers = model.Sizes.Layers, step = read.Int("interleave_moe_layer_step", 1);
        var turned = read.Numbers("no_rope_layers");
        var interval = read.Int("no_rope_layer_interval", 4);
        if (Enumerable.Range(0, layers).Any(layer =>
                (turned.Count > 0 ? turned[layer] != 0 : (layer + 1) % interval != 0) != ((layer + 1) % 4 != 0)))
            return "has rotary positions and pieces in all but every 4th layer; no_rope_layers says otherwise";
        bool Mixed(int layer) =>
            model.Projections.Any(projection => projection.Layer == layer && projection.Role == Role.Router);
        if (Enumerable.Range(0, layers).Any(layer => Mixed(layer) != ((layer + 1) % step == 0)))
            return $"has experts in every layer whose number is a multiple of interleave_moe_layer_step ({step}); moe_layers says other";
        if (read.Bool("use_qk_norm", true) == (read.Int("num_local_experts", 16) == 128))
            return "normalises queries and keys unless there are 128 experts; use_qk_norm says otherwise";
        // Rows that are shorter than both numbers are read alike.
        bool Reached(double own) => own != Length && model.Sizes.ContextLength >= Math.Min(own, Length);
        if (Reached(read.Maybe("attention_chunk_size") ?? Length)) return $"reads pieces of {Length}; attention_chunk_size differs";
        var sharpens = read.Switch("attn_temperature_tuning", true) && read.Double("attn_scale", 0.1) == 0.1;
        return Reached(read.Double("floor_scale", Length)) || !sharpens && model.Sizes.ContextLength >= Length
            ? $"sharpens queries by 0.1 every {Length} tokens; floor_scale, attn_scale or attn_temperature_tuning differs"
            : null;
    }

    private string? Mamba2()
    {
        if (read.Bool("use_bias", false)) return "has no biases in its maps; use_bias is true";
        if (!read.Bool("use_conv_bias", true)) return "has a bias in its convolution; use_conv_bias is false";
        if (read.Int("n_groups", 8) != 1) return $"normalises within groups; n_groups is {read.Int("n_groups", 8)}, not 1";
        var (least, most) = read.Range("time_step_limit", 0, double.PositiveInfinity);
        return least > 0 || double.IsFinite(most) ? "does not limit time steps; time_step_limit does" : null;
    }

    /// <summary>Adds the settings.</summary>
    /// <param name="file">The file.</param>
    internal void AddTo(GgufWriter file)
    {
        void Size(string key, int value) => file.Add($"{architecture}.{key}", value);
        switch (type)
        {
            case "granitemoe":
                Size("expert_count", read.Int("num_local_experts", 8));
                Size("expert_used_count", read.Int("num_experts_per_tok", 2));
                break;
            case "gpt_oss":
                Size("attention.sliding_window", read.Window(128));
                Size("expert_count", read.Int("num_local_experts", 128));
                Size("expert_used_count", read.IntOf(["num_experts_per_tok", "experts_per_token"], 4));
                Size("expert_feed_forward_length", read.Int("intermediate_size"));
                break;
            case "glm4_moe":
                Mixture(file, Sigmoid);
                break;
            case "deepseek_v2" or "deepseek_v3":
                DeepSeek(file);
                break;
            case "olmo3":
                Size("attention.sliding_window", read.Window(4096));
                file.Add("olmo2.attention.sliding_window_pattern", (bool[])[.. Enumerable.Range(0, model.Sizes.Layers).Select(
                    layer => (layer + 1) % 4 != 0)]);
                break;
            case "ministral3" when read.OfRope("llama_4_scaling_beta", 0) is > 0 and var growth:
                file.Add("mistral3.attention.temperature_scale", (float)growth);
                break;
            case "minicpm3":
                Size("attention.q_lora_rank", read.Int("q_lora_rank"));
                Size("attention.kv_lora_rank", read.Int("kv_lora_rank"));
                Size("attention.key_length", read.Int("qk_nope_head_dim") + read.Int("qk_rope_head_dim"));
                break;
            case "llama4_text":
                Size("interleave_moe_layer_step", read.Int("interleave_moe_layer_step", 1));
                Size("expert_count", read.Int("num_local_experts", 16));
                Size("expert_used_count", read.Int("num_experts_per_tok", 1));
                Size("expert_feed_forward_length", read.Int("intermediate_size"));
                break;
            case "qwen3_next" or "qwen3_5_text" or "qwen3_5_moe_text":
                LinearAttention(file);
                break;
            case "mamba2":
                Recurrent(
                    file,
                    read.Int("conv_kernel", 4),
                    read.Int("state_size", 128),
                    1,
                    model.Sizes.Heads,
                    model.Sizes.Heads * model.Sizes.HeadWidth);
                break;
        }
    }

    private void LinearAttention(GgufWriter file)
    {
        void Size(string key, int value) => file.Add($"{architecture}.{key}", value);
        if (type != "qwen3_5_text")
        {
            Size("expert_count", read.Int("num_experts", type == "qwen3_next" ? 512 : 256));
            Size("expert_used_count", read.Int("num_experts_per_tok", type == "qwen3_next" ? 4 : 8));
            Size("expert_feed_forward_length", read.Int("moe_intermediate_size"));
            Size("expert_shared_feed_forward_length", read.Int("shared_expert_intermediate_size"));
        }
        // Of a picture's three positions; a text has one.
        if (type != "qwen3_next") file.Add($"{architecture}.rope.dimension_sections", (int[])[11, 11, 10, 0]);
        Size("full_attention_interval", Interval);
        Recurrent(
            file,
            read.Int("linear_conv_kernel_dim", 4),
            read.Int("linear_key_head_dim", 128),
            read.Int("linear_num_key_heads", 16),
            read.Int("linear_num_value_heads", 32),
            read.Int("linear_num_value_heads", 32) * read.Int("linear_value_head_dim", 128));
    }

    private void Mixture(GgufWriter file, int gating)
    {
        void Size(string key, int value) => file.Add($"{architecture}.{key}", value);
        var third = type != "deepseek_v2";
        Size("expert_count", read.Int("n_routed_experts", third ? 256 : 64));
        Size("expert_used_count", read.Int("num_experts_per_tok", third ? 8 : 6));
        Size("expert_feed_forward_length", read.Int("moe_intermediate_size"));
        Size("expert_shared_count", read.Maybe("n_shared_experts") ?? (third ? 1 : 2));
        var dense = type switch { "deepseek_v3" => 3, "glm4_moe" => 1, _ => 0 };
        Size("leading_dense_block_count", read.Maybe("first_k_dense_replace") ?? dense);
        Size("expert_gating_func", gating);
        file.Add($"{architecture}.expert_weights_scale", (float)read.Double("routed_scaling_factor", third ? 2.5 : 1));
        file.Add($"{architecture}.expert_weights_norm", read.Bool("norm_topk_prob", third));
        // Where every group is kept there is nothing to choose.
        int groups = read.Int("n_group", 8), kept = read.Int("topk_group", 4);
        if (type != "deepseek_v3" || kept >= groups) return;
        Size("expert_group_count", groups);
        Size("expert_group_used_count", kept);
    }

    // llama.cpp's attention works in the latent space: one key head of the latent's width, and a part that is rotated.
    private void DeepSeek(GgufWriter file)
    {
        void Size(string key, int value) => file.Add($"{architecture}.{key}", value);
        Mixture(file, type == "deepseek_v2" ? Softmax : Sigmoid);
        int latent = read.Int("kv_lora_rank", 512), turned = read.Int("qk_rope_head_dim", 64), plain = read.Int("qk_nope_head_dim", 128);
        if (read.Maybe("q_lora_rank") is { } rank) Size("attention.q_lora_rank", rank);
        Size("attention.kv_lora_rank", latent);
        Size("attention.key_length", latent + turned);
        Size("attention.value_length", latent);
        Size("attention.key_length_mla", plain + turned);
        Size("attention.value_length_mla", read.Int("v_head_dim", 128));
        if (model.Rope is { Type: "yarn" } && read.OfRope("mscale_all_dim", 0) is > 0 and var scale)
            file.Add($"{architecture}.rope.scaling.yarn_log_multiplier", (float)(0.1 * scale));
    }

    /// <summary>The feed-forward part's width as llama.cpp counts it; null where it is that of the first map back.</summary>
    internal int? Inner => type switch
    {
        // It counts gate and up together.
        "qwen" => read.Int("intermediate_size"),
        "llama4_text" => read.Int("intermediate_size_mlp", 16384),
        _ => null,
    };

    private void Recurrent(
        GgufWriter file,
        int kernel,
        int state,
        int groups,
        int heads,
        int inner)
    {
        void Size(string key, int value) => file.Add($"{architecture}.ssm.{key}", value);
        Size("conv_kernel", kernel);
        Size("state_size", state);
        Size("group_count", groups);
        Size("time_step_rank", heads);
        Size("inner_size", inner);
    }
}
