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
    internal int Rotated => type is "deepseek_v2" or "deepseek_v3"
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
        "mamba2" => Mamba2(),
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

    private string? Qwen3Next()
    {
        if (read.Bool("attention_bias", false)) return "has no biases in attention; attention_bias is true";
        if (!read.Bool("norm_topk_prob", true)) return "makes the weights of the chosen experts sum to one; norm_topk_prob is false";
        if (read.Int("linear_value_head_dim", 128) != read.Int("linear_key_head_dim", 128))
            return "has heads of one width in linear attention; linear_key_head_dim and linear_value_head_dim differ";
        var interval = read.Int("full_attention_interval", 4);
        var types = read.LayerTypes(
            model.Sizes.Layers,
            layer => (layer + 1) % interval == 0 ? "full_attention" : "linear_attention",
            "full_attention",
            "linear_attention");
        return types.Where((kind, layer) => kind == "full_attention" != ((layer + 1) % interval == 0)).Any()
            ? $"has attention in every layer whose number is a multiple of full_attention_interval ({interval}); layer_types says otherwise"
            : GgufFit.Dense(model);
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
            case "qwen3_next":
                Size("expert_count", read.Int("num_experts", 512));
                Size("expert_used_count", read.Int("num_experts_per_tok", 4));
                Size("expert_feed_forward_length", read.Int("moe_intermediate_size"));
                Size("expert_shared_feed_forward_length", read.Int("shared_expert_intermediate_size"));
                Size("full_attention_interval", read.Int("full_attention_interval", 4));
                Recurrent(
                    file,
                    read.Int("linear_conv_kernel_dim", 4),
                    read.Int("linear_key_head_dim", 128),
                    read.Int("linear_num_key_heads", 16),
                    read.Int("linear_num_value_heads", 32),
                    read.Int("linear_num_value_heads", 32) * read.Int("linear_value_head_dim", 128));
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
