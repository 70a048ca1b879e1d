using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Models;

/// <summary>How a family's configuration names the sizes of a model; null where a family has no such setting.</summary>
/// <param name="Stem">The beginning of its class's name.</param>
/// <param name="Ending">The end of its class's name.</param>
internal sealed record FreshForm(string Stem, string Ending = "ForCausalLM")
{
    internal string Hidden { get; init; } = "hidden_size";

    internal string? Inner { get; init; } = "intermediate_size";

    internal string Layers { get; init; } = "num_hidden_layers";

    internal string Heads { get; init; } = "num_attention_heads";

    internal string? KeyValueHeads { get; init; } = "num_key_value_heads";

    internal string? HeadWidth { get; init; } = "head_dim";

    internal string? Context { get; init; } = "max_position_embeddings";

    internal string? Experts { get; init; }

    internal string Width { get; init; } = "moe_intermediate_size";

    internal Action<FamilySpec, JsonObject>? More { get; init; }

    /// <summary>The form with experts.</summary>
    internal FreshForm Of(string experts, Action<FamilySpec, JsonObject>? more = null) => this with { Experts = experts, More = more };

    /// <summary>The form with further settings.</summary>
    internal FreshForm With(Action<FamilySpec, JsonObject> more) => this with { More = more };

    /// <summary>The form of a family where every head has its own keys and its share of the hidden width.</summary>
    internal FreshForm Plain() => this with { KeyValueHeads = null, HeadWidth = null };

    /// <summary>The form of a family whose heads have their share of the hidden width.</summary>
    internal FreshForm Even() => this with { HeadWidth = null };

    /// <summary>The special tokens that the family's models read; none for a family that reads those of recipes.</summary>
    internal FreshMarks? Marks { get; init; }

    private static readonly FreshMarks bert = new(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], "[CLS]", "[SEP]");

    // The padding token has the number from which positions are counted.
    private static readonly FreshMarks roberta = new(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<s>", "</s>");

    private static readonly FreshMarks gaps = new(
        [.. Enumerable.Range(0, 100).Select(i => $"<extra_id_{i}>")], null, ChatTemplate.Own.End);

    private static int WidthOf(FamilySpec spec) => spec.HeadWidth ?? spec.HiddenSize / spec.Heads;

    private static FreshForm Encoder(string stem) => new FreshForm(stem, "ForMaskedLM") { Marks = bert }.Plain();

    private static FreshForm Pair(string stem) => new FreshForm(stem, "ForConditionalGeneration") { Hidden = "d_model" };

    private static FreshForm Bart(string stem) => Pair(stem).Plain() with
    {
        Inner = "encoder_ffn_dim", Layers = "encoder_layers", Heads = "encoder_attention_heads", More = (spec, made) =>
        {
            foreach (var (key, value) in new[]
            {
                ("decoder_ffn_dim", spec.IntermediateSize), ("decoder_layers", spec.Layers), ("decoder_attention_heads", spec.Heads),
            })
                made[key] = value;
            // Answers begin with this token; BART's tables do not train its vector.
            Same(made, (int)made["bos_token_id"]!, "pad_token_id", "decoder_start_token_id");
        },
    };

    private static FreshForm T5(string stem) => Pair(stem) with
    {
        Marks = gaps,
        Inner = "d_ff", Layers = "num_layers", Heads = "num_heads", KeyValueHeads = null, HeadWidth = "d_kv", Context = "n_positions",
        More = (_, made) => Same(made, (int)made["bos_token_id"]!, "pad_token_id", "decoder_start_token_id"),
    };

    private static void Same(JsonObject made, int value, params ReadOnlySpan<string> keys)
    {
        foreach (var key in keys) made[key] = value;
    }

    // Linear attention has heads of the same width; every fourth layer has full attention.
    private static void Linear(FamilySpec spec, JsonObject made)
    {
        made["linear_num_key_heads"] = spec.KeyValueHeads ?? spec.Heads;
        made["linear_num_value_heads"] = spec.Heads;
        Same(made, WidthOf(spec), "linear_key_head_dim", "linear_value_head_dim");
    }

    private static void Latent(FamilySpec spec, JsonObject made)
    {
        var width = WidthOf(spec);
        made["q_lora_rank"] = null;
        made["kv_lora_rank"] = Math.Max(width, spec.HiddenSize / 4);
        Same(made, width, "qk_nope_head_dim", "v_head_dim");
        made["qk_rope_head_dim"] = Math.Max(2, width / 4 * 2);
        made["num_key_value_heads"] = spec.Heads;
        Grouped(spec, made);
    }

    private static void Grouped(FamilySpec spec, JsonObject made)
    {
        Same(made, 1, "n_group", "topk_group", "n_shared_experts");
        made["first_k_dense_replace"] = Math.Min(1, spec.Layers - 1);
    }

    private static void Scalar(FamilySpec spec, JsonObject made) => made["query_pre_attn_scalar"] = WidthOf(spec);

    private static void Shared(FamilySpec spec, JsonObject made) => made["shared_expert_intermediate_size"] = spec.IntermediateSize;

    /// <summary>The forms of all families but those that have records of their own.</summary>
    internal static IReadOnlyDictionary<string, FreshForm> All { get; } = new Dictionary<string, FreshForm>(StringComparer.Ordinal)
    {
        ["mistral"] = new("Mistral"),
        ["qwen2"] = new("Qwen2"),
        ["qwen3"] = new("Qwen3"),
        ["mixtral"] = new FreshForm("Mixtral") { Width = "" }.Of("num_local_experts"),
        ["qwen3_moe"] = new FreshForm("Qwen3Moe").Of("num_experts"),
        ["gemma2"] = new FreshForm("Gemma2").With(Scalar),
        ["phi3"] = new("Phi3"),
        ["glm"] = new("Glm"),
        ["glm4"] = new("Glm4"),
        ["gemma"] = new("Gemma"),
        ["gemma3_text"] = new FreshForm("Gemma3").With(Scalar),
        ["ministral"] = new("Ministral"),
        ["ministral3"] = new FreshForm("Ministral3").With((spec, made) => made["rope_parameters"] = new JsonObject
        {
            ["rope_type"] = "default", ["rope_theta"] = 1000000.0, ["llama_4_scaling_beta"] = 0.1,
            ["original_max_position_embeddings"] = spec.ContextLength,
        }),
        ["smollm3"] = new("SmolLM3"),
        ["ernie4_5"] = new("Ernie4_5"),
        ["hunyuan_v1_dense"] = new("HunYuanDenseV1"),
        ["internlm"] = new FreshForm("InternLM").Plain(),
        ["internlm2"] = new FreshForm("InternLM2").Even(),
        ["internlm3"] = new("InternLM3"),
        ["Yi"] = new FreshForm("Yi").Even(),
        ["baichuan"] = new FreshForm("Baichuan").Plain(),
        ["qwen"] = new FreshForm("QWen", "LMHeadModel").Plain() with
        {
            Context = "seq_length", More = (spec, made) =>
            {
                made["intermediate_size"] = 2 * spec.IntermediateSize;
                made["kv_channels"] = WidthOf(spec);
                made["no_bias"] = true;
            },
        },
        ["granite"] = new FreshForm("Granite").With((spec, made) => made["attention_multiplier"] = 1 / Math.Sqrt(WidthOf(spec))),
        ["minicpm"] = new FreshForm("MiniCPM").Even().With((spec, made) => made["dim_model_base"] = spec.HiddenSize),
        ["granitemoe"] = new FreshForm("GraniteMoe") { Width = "" }.Of(
            "num_local_experts", (spec, made) => made["attention_multiplier"] = 1 / Math.Sqrt(WidthOf(spec))),
        ["olmo"] = new("Olmo"),
        ["olmo2"] = new("Olmo2"),
        ["olmo3"] = new("Olmo3"),
        ["exaone4"] = new("Exaone4"),
        ["cohere"] = new("Cohere"),
        ["cohere2"] = new("Cohere2"),
        ["phi"] = new FreshForm("Phi").Even(),
        ["stablelm"] = new FreshForm("StableLm").Even(),
        ["starcoder2"] = new FreshForm("Starcoder2").Even().With((_, made) => made["initializer_range"] = 0.018042),
        ["qwen2_moe"] = new FreshForm("Qwen2Moe").Even().Of("num_experts", Shared),
        ["glm4_moe"] = new FreshForm("Glm4Moe").Of("n_routed_experts", Grouped),
        ["deepseek_v2"] = new FreshForm("DeepseekV2") { KeyValueHeads = null, HeadWidth = "" }.Of("n_routed_experts", Latent),
        ["deepseek_v3"] = new FreshForm("DeepseekV3") { KeyValueHeads = null, HeadWidth = "" }.Of("n_routed_experts", Latent),
        ["minicpm3"] = new FreshForm("MiniCPM3") { KeyValueHeads = null, HeadWidth = "" }.With((spec, made) =>
        {
            Latent(spec, made);
            made["q_lora_rank"] = Math.Max(WidthOf(spec), spec.HiddenSize / 4);
            made["dim_model_base"] = spec.HiddenSize;
        }),
        ["llama4_text"] = new FreshForm("Llama4") { Width = "" }.Of(
            "num_local_experts", (spec, made) => made["intermediate_size_mlp"] = spec.IntermediateSize),
        ["gpt_oss"] = new FreshForm("GptOss") { Width = "" }.Of("num_local_experts", (_, made) =>
            made["rope_parameters"] = new JsonObject { ["rope_type"] = "default", ["rope_theta"] = 150000.0 }),
        ["falcon"] = new FreshForm("Falcon") { KeyValueHeads = "num_kv_heads", Inner = "ffn_hidden_size", HeadWidth = null }.With(
            (spec, made) =>
            {
                made["new_decoder_architecture"] = spec.KeyValueHeads > 1;
                made["multi_query"] = spec.KeyValueHeads is null or 1;
                if (spec.KeyValueHeads is null) made["num_kv_heads"] = 1;
            }),
        ["qwen3_next"] = new FreshForm("Qwen3Next").Of("num_experts", (spec, made) =>
        {
            Linear(spec, made);
            Shared(spec, made);
        }),
        ["qwen3_5_text"] = new FreshForm("Qwen3_5").With(Linear),
        ["qwen3_5_moe_text"] = new FreshForm("Qwen3_5Moe").Of("num_experts", (spec, made) =>
        {
            Linear(spec, made);
            Shared(spec, made);
        }),
        ["gemma4_text"] = new FreshForm("Gemma4").With((spec, made) =>
        {
            made["global_head_dim"] = WidthOf(spec);
            made["hidden_size_per_layer_input"] = 0;
            made["vocab_size_per_layer_input"] = (int)made["vocab_size"]!;
        }),
        ["mamba2"] = new FreshForm("Mamba2")
        {
            Inner = null, Heads = "num_heads", KeyValueHeads = null, HeadWidth = "", Context = null, More = (spec, made) =>
            {
                // The inner width is what the heads have together.
                if (spec.IntermediateSize % spec.HiddenSize != 0 || spec.IntermediateSize % spec.Heads != 0)
                    throw new InputException($"model.intermediateSize is {spec.IntermediateSize}; Mamba 2 needs a multiple of hiddenSize "
                        + $"({spec.HiddenSize}) and of heads ({spec.Heads}), such as {2 * spec.HiddenSize}.");
                made["expand"] = spec.IntermediateSize / spec.HiddenSize;
                made["head_dim"] = spec.IntermediateSize / spec.Heads;
                made["n_groups"] = 1;
                made["initializer_range"] = 0.1;
            },
        },
        ["gpt2"] = new FreshForm("GPT2", "LMHeadModel").Plain() with
        {
            Hidden = "n_embd", Inner = "n_inner", Layers = "n_layer", Heads = "n_head", Context = "n_positions",
        },
        ["gpt_neox"] = new FreshForm("GPTNeoX").Plain(),
        ["opt"] = new FreshForm("OPT").Plain() with
        {
            Inner = "ffn_dim", More = (spec, made) => made["word_embed_proj_dim"] = spec.HiddenSize,
        },
        ["bloom"] = new FreshForm("Bloom").Plain() with
        {
            Inner = null, Layers = "n_layer", Heads = "n_head", Context = "seq_length", More = (spec, _) =>
            {
                if (spec.IntermediateSize != 4 * spec.HiddenSize)
                    throw new InputException($"model.intermediateSize is {spec.IntermediateSize}; BLOOM's is always four times hiddenSize: "
                        + $"write {4 * spec.HiddenSize}.");
            },
        },
        ["bert"] = Encoder("Bert"),
        ["roberta"] = (Encoder("Roberta") with { Marks = roberta }).With(Offset),
        ["xlm-roberta"] = (Encoder("XLMRoberta") with { Marks = roberta }).With(Offset),
        ["distilbert"] = Encoder("DistilBert") with { Hidden = "dim", Inner = "hidden_dim", Layers = "n_layers", Heads = "n_heads" },
        ["electra"] = Encoder("Electra").With((spec, made) => made["embedding_size"] = spec.HiddenSize),
        ["albert"] = Encoder("Albert").With((spec, made) => made["embedding_size"] = Math.Min(128, spec.HiddenSize)),
        ["modernbert"] = Encoder("ModernBert"),
        ["deberta-v2"] = Encoder("DebertaV2").With((_, made) =>
        {
            // As DeBERTa v3 was published.
            foreach (var key in new[] { "relative_attention", "share_att_key" }) made[key] = true;
            made["position_biased_input"] = false;
            made["pos_att_type"] = new JsonArray("p2c", "c2p");
            made["position_buckets"] = 256;
            made["norm_rel_ebd"] = "layer_norm";
            made["type_vocab_size"] = 0;
        }),
        ["bart"] = Bart("Bart"),
        ["mbart"] = Bart("MBart"),
        ["pegasus"] = Bart("Pegasus"),
        ["t5"] = T5("T5"),
        ["mt5"] = T5("MT5"),
    };

    // Positions are counted from the number of the padding token plus one.
    private static void Offset(FamilySpec spec, JsonObject made)
    {
        made["pad_token_id"] = 1;
        made["max_position_embeddings"] = spec.ContextLength + 2;
    }
}
