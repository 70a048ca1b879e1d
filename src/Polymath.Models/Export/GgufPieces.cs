using static TorchSharp.torch;

namespace Polymath.Models.Export;

/// <summary>A tensor of a file.</summary>
/// <param name="Name">llama.cpp's name.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Make">Computes it.</param>
internal sealed record GgufPiece(string Name, long[] Shape, Func<Tensor> Make);

/// <summary>
/// The weights that llama.cpp holds in another form than Hugging Face's files: fused maps apart, experts' gates and ups apart, factors that
/// are computed once.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="type">Its type.</param>
internal sealed class GgufPieces(LanguageModel model, string type)
{
    private readonly ConfigReader read = new(model.Configuration);

    /// <summary>The tensors of a weight; null where it is one, in its own shape.</summary>
    /// <param name="weight">The weight.</param>
    internal IReadOnlyList<GgufPiece>? Of(Weight weight)
    {
        var parts = weight.Name.Split('.');
        var number = Array.FindIndex(parts, part => part.Length > 0 && part.All(char.IsAsciiDigit));
        if (number < 0)
            return model.Tokens.NormsHead && ReferenceEquals(weight, model.Tokens.Head)
                ? [Piece("output.weight", weight, all => all / all.norm(1, keepdim: true))]
                : null;
        var part = string.Join('.', parts[(number + 1)..]);
        string Name(string word) => $"blk.{parts[number]}.{word}";
        return type switch
        {
            "falcon" => Falcon(part, weight, Name),
            "internlm2" => InternLm2(part, weight, Name),
            "baichuan" => Baichuan(part, weight, Name),
            "granitemoe" => GraniteMoe(part, weight, Name),
            "gpt_oss" => GptOss(part, weight, Name),
            "deepseek_v2" or "deepseek_v3" => DeepSeek(part, weight, Name),
            "qwen3_next" => Qwen3Next(part, weight, Name),
            "qwen3_5_text" or "qwen3_5_moe_text" => Qwen35(part, weight, Name),
            "llama4_text" => Llama4(part, weight, Name),
            "gemma4_text" => Gemma4(part, weight, Name),
            "mamba2" => Mamba2(part, weight, Name),
            "glm4_moe" when part == "mlp.gate.e_score_correction_bias" => [Piece(Name("exp_probs_b.bias"), weight, all => all)],
            _ => null,
        };
    }

    // A part of a weight; its shape is that of what is made of a tensor without numbers.
    private static GgufPiece Piece(string name, Weight weight, Func<Tensor, Tensor> make)
    {
        using var scope = NewDisposeScope();
        var shape = make(empty([.. weight.Shape], device: META)).shape;
        return new GgufPiece(name, shape, () => make(weight.Wide()).contiguous());
    }

    // Some of the heads of each group: its queries, then a key and a value.
    private static Tensor Grouped(Tensor all, int groups, int width, Range part)
    {
        var heads = all.view(groups, -1, width, all.size(1));
        var (from, count) = part.GetOffsetAndLength((int)heads.size(1));
        return heads.narrow(1, from, count).reshape(-1, all.size(1));
    }

    // From halves to pairs: see GgufModel.
    private static Tensor Paired(Tensor of, int heads) =>
        of.reshape(heads, 2, of.size(0) / heads / 2, of.size(1)).transpose(1, 2).reshape(of.shape);

    private GgufPiece[]? Falcon(string part, Weight weight, Func<string, string> name)
    {
        if (part != "self_attention.query_key_value.weight") return null;
        var sizes = model.Sizes;
        int groups = sizes.KeyValueHeads, each = sizes.Heads / groups;
        return
        [
            Piece(name("attn_qkv.weight"), weight, all => cat(
                [
                    Grouped(all, groups, sizes.HeadWidth, ..each), Grouped(all, groups, sizes.HeadWidth, each..^1),
                    Grouped(all, groups, sizes.HeadWidth, ^1..),
                ],
                0)),
        ];
    }

    private GgufPiece[]? InternLm2(string part, Weight weight, Func<string, string> name)
    {
        if (part != "attention.wqkv.weight") return null;
        var sizes = model.Sizes;
        int groups = sizes.KeyValueHeads, each = sizes.Heads / groups, width = sizes.HeadWidth;
        return
        [
            Piece(name("attn_q.weight"), weight, all => Paired(Grouped(all, groups, width, ..each), sizes.Heads)),
            Piece(name("attn_k.weight"), weight, all => Paired(Grouped(all, groups, width, each..^1), groups)),
            Piece(name("attn_v.weight"), weight, all => Grouped(all, groups, width, ^1..)),
        ];
    }

    private GgufPiece[]? Baichuan(string part, Weight weight, Func<string, string> name)
    {
        if (part != "self_attn.W_pack.weight") return null;
        var heads = model.Sizes.Heads;
        // The models with linear biases by distance are not rotated.
        var turned = model.Rope is not null;
        Tensor Of(Tensor all, int third) => all.narrow(0, third * all.size(0) / 3, all.size(0) / 3);
        return
        [
            Piece(name("attn_q.weight"), weight, all => turned ? Paired(Of(all, 0), heads) : Of(all, 0)),
            Piece(name("attn_k.weight"), weight, all => turned ? Paired(Of(all, 1), heads) : Of(all, 1)),
            Piece(name("attn_v.weight"), weight, all => Of(all, 2)),
        ];
    }

    private static GgufPiece[]? GraniteMoe(string part, Weight weight, Func<string, string> name) => part switch
    {
        "block_sparse_moe.input_linear.weight" =>
        [
            Piece(name("ffn_gate_exps.weight"), weight, all => all.chunk(2, 1)[0]),
            Piece(name("ffn_up_exps.weight"), weight, all => all.chunk(2, 1)[1]),
        ],
        "block_sparse_moe.output_linear.weight" => [Piece(name("ffn_down_exps.weight"), weight, all => all)],
        _ => null,
    };

    // Gate and up are interleaved, and all maps are stored as [in, out].
    private static GgufPiece[]? GptOss(string part, Weight weight, Func<string, string> name)
    {
        static Tensor Every(Tensor all, int from) => all.slice(-1, from, all.size(-1), 2);
        return part switch
        {
            "self_attn.sinks" => [Piece(name("attn_sinks.weight"), weight, all => all)],
            "mlp.experts.gate_up_proj" =>
            [
                Piece(name("ffn_gate_exps.weight"), weight, all => Every(all, 0).transpose(1, 2)),
                Piece(name("ffn_up_exps.weight"), weight, all => Every(all, 1).transpose(1, 2)),
            ],
            "mlp.experts.gate_up_proj_bias" =>
            [
                Piece(name("ffn_gate_exps.bias"), weight, all => Every(all, 0)),
                Piece(name("ffn_up_exps.bias"), weight, all => Every(all, 1)),
            ],
            "mlp.experts.down_proj" => [Piece(name("ffn_down_exps.weight"), weight, all => all.transpose(1, 2))],
            "mlp.experts.down_proj_bias" => [Piece(name("ffn_down_exps.bias"), weight, all => all)],
            _ => null,
        };
    }

    // Keys and values are unfolded from latent vectors within the attention: the map of keys is used transposed.
    private GgufPiece[]? DeepSeek(string part, Weight weight, Func<string, string> name)
    {
        int plain = read.Int("qk_nope_head_dim", 128), width = read.Int("v_head_dim", 128);
        Tensor Heads(Tensor all) => all.view(model.Sizes.Heads, plain + width, all.size(1));
        return part switch
        {
            "self_attn.kv_b_proj.weight" =>
            [
                Piece(name("attn_k_b.weight"), weight, all => Heads(all).narrow(1, 0, plain).transpose(1, 2)),
                Piece(name("attn_v_b.weight"), weight, all => Heads(all).narrow(1, plain, width)),
            ],
            "mlp.gate.e_score_correction_bias" => [Piece(name("exp_probs_b.bias"), weight, all => all)],
            _ => null,
        };
    }

    private GgufPiece[]? Qwen3Next(string part, Weight weight, Func<string, string> name)
    {
        int keys = read.Int("linear_num_key_heads", 16), width = read.Int("linear_key_head_dim", 128);
        Tensor Flat(Tensor all, int from, long to)
        {
            var heads = all.view(keys, -1, all.size(1));
            return heads.slice(1, from, to < 0 ? heads.size(1) : to, 1).reshape(-1, all.size(1));
        }
        var own = read.Int("linear_num_value_heads", 32) / keys * read.Int("linear_value_head_dim", 128);
        return Recurrent(part, weight, name) ?? part switch
        {
            "linear_attn.in_proj_qkvz.weight" =>
            [
                Piece(name("attn_qkv.weight"), weight, all => cat(
                    [Flat(all, 0, width), Flat(all, width, 2 * width), Flat(all, 2 * width, 2 * width + own)], 0)),
                Piece(name("attn_gate.weight"), weight, all => Flat(all, 2 * width + own, -1)),
            ],
            "linear_attn.in_proj_ba.weight" => [Piece(name("ssm_ba.weight"), weight, all => all)],
            _ => null,
        };
    }

    // What the layers of the delta rule have in both generations. llama.cpp adds one to no norm but these.
    private GgufPiece[]? Recurrent(string part, Weight weight, Func<string, string> name) => part switch
    {
        "linear_attn.conv1d.weight" => [Piece(name("ssm_conv1d.weight"), weight, all => Tiled(all.squeeze(1)))],
        "linear_attn.A_log" => [Piece(name("ssm_a"), weight, all => Tiled(all.exp().neg()))],
        "linear_attn.dt_bias" => [Piece(name("ssm_dt.bias"), weight, Tiled)],
        "linear_attn.norm.weight" => [Piece(name("ssm_norm.weight"), weight, all => all)],
        "linear_attn.out_proj.weight" => [Piece(name("ssm_out.weight"), weight, all => Tiled(all.t()).t())],
        _ when part.EndsWith("norm.weight", StringComparison.Ordinal) => [Piece(GgufNames.Of(type, weight.Name), weight, all => all + 1)],
        _ => null,
    };

    // Value heads that share a key head are neighbours here. llama.cpp's Qwen 3.5 repeats the key heads as a whole, so its first value
    // heads are the first of each key head. The rows before those of the values stay.
    private Tensor Tiled(Tensor all)
    {
        int keys = read.Int("linear_num_key_heads", 16), values = read.Int("linear_num_value_heads", 32);
        if (type == "qwen3_next" || keys == values) return all;
        var width = all.size(0) <= values ? 1 : read.Int("linear_value_head_dim", 128);
        var before = all.size(0) - values * width;
        var own = all.narrow(0, before, values * width);
        var tiled = own.reshape([keys, values / keys, width, .. all.shape[1..]]).transpose(0, 1).reshape(own.shape);
        return cat([all.narrow(0, 0, before), tiled], 0);
    }

    private GgufPiece[]? Qwen35(string part, Weight weight, Func<string, string> name) =>
        Recurrent(part, weight, name) ?? part switch
        {
            "linear_attn.in_proj_qkv.weight" => [Piece(name("attn_qkv.weight"), weight, Tiled)],
            "linear_attn.in_proj_z.weight" => [Piece(name("attn_gate.weight"), weight, Tiled)],
            "linear_attn.in_proj_a.weight" => [Piece(name("ssm_alpha.weight"), weight, Tiled)],
            "linear_attn.in_proj_b.weight" => [Piece(name("ssm_beta.weight"), weight, Tiled)],
            _ => null,
        };

    private static GgufPiece[]? Llama4(string part, Weight weight, Func<string, string> name) => part switch
    {
        "feed_forward.experts.gate_up_proj" =>
        [
            Piece(name("ffn_gate_exps.weight"), weight, all => all.chunk(2, -1)[0].transpose(1, 2)),
            Piece(name("ffn_up_exps.weight"), weight, all => all.chunk(2, -1)[1].transpose(1, 2)),
        ],
        "feed_forward.experts.down_proj" => [Piece(name("ffn_down_exps.weight"), weight, all => all.transpose(1, 2))],
        _ => null,
    };

    private static GgufPiece[]? Gemma4(string part, Weight weight, Func<string, string> name) => part switch
    {
        "experts.gate_up_proj" => [Piece(name("ffn_gate_up_exps.weight"), weight, all => all)],
        "experts.down_proj" => [Piece(name("ffn_down_exps.weight"), weight, all => all)],
        "router.scale" => [Piece(name("ffn_gate_inp.scale"), weight, all => all)],
        "router.per_expert_scale" => [Piece(name("ffn_down_exps.scale"), weight, all => all)],
        "layer_scalar" => [Piece(name("layer_output_scale.weight"), weight, all => all)],
        _ => null,
    };

    private static GgufPiece[]? Mamba2(string part, Weight weight, Func<string, string> name) => part switch
    {
        "norm.weight" => [Piece(name("attn_norm.weight"), weight, all => all)],
        "mixer.in_proj.weight" => [Piece(name("ssm_in.weight"), weight, all => all)],
        "mixer.conv1d.weight" => [Piece(name("ssm_conv1d.weight"), weight, all => all.squeeze(1))],
        "mixer.conv1d.bias" => [Piece(name("ssm_conv1d.bias"), weight, all => all)],
        "mixer.A_log" => [Piece(name("ssm_a"), weight, all => all.exp().neg().unsqueeze(1))],
        "mixer.D" => [Piece(name("ssm_d"), weight, all => all.unsqueeze(1))],
        "mixer.dt_bias" => [Piece(name("ssm_dt.bias"), weight, all => all)],
        "mixer.norm.weight" => [Piece(name("ssm_norm.weight"), weight, all => all.unsqueeze(0))],
        "mixer.out_proj.weight" => [Piece(name("ssm_out.weight"), weight, all => all)],
        _ => null,
    };
}
