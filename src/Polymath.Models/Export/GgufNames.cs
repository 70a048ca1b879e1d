using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Models.Export;

/// <summary>llama.cpp's names: of model types, and of weights by their names in Hugging Face's files.</summary>
internal static partial class GgufNames
{
    // A model type's name in llama.cpp.
    private static readonly Dictionary<string, string> architectures = new(StringComparer.Ordinal)
    {
        ["llama"] = "llama", ["mistral"] = "llama", ["mixtral"] = "llama", ["qwen2"] = "qwen2", ["qwen3"] = "qwen3",
        ["qwen3_moe"] = "qwen3moe", ["gemma2"] = "gemma2", ["phi3"] = "phi3", ["gpt2"] = "gpt2",
        ["gpt_neox"] = "gptneox", ["bloom"] = "bloom", ["glm"] = "chatglm", ["chatglm"] = "chatglm", ["glm4"] = "glm4", ["t5"] = "t5",
        ["Yi"] = "llama", ["internlm"] = "llama", ["internlm3"] = "llama", ["gemma"] = "gemma", ["gemma3_text"] = "gemma3",
        ["granite"] = "granite", ["minicpm"] = "minicpm", ["smollm3"] = "smollm3", ["ernie4_5"] = "ernie4_5",
        ["hunyuan_v1_dense"] = "hunyuan-dense", ["olmo"] = "olmo", ["olmo2"] = "olmo2", ["exaone4"] = "exaone4", ["phi"] = "phi2",
        ["stablelm"] = "stablelm", ["starcoder2"] = "starcoder2", ["cohere"] = "command-r", ["cohere2"] = "cohere2",
        ["qwen2_moe"] = "qwen2moe", ["falcon"] = "falcon", ["internlm2"] = "internlm2", ["baichuan"] = "baichuan",
        ["granitemoe"] = "granitemoe", ["gpt_oss"] = "gpt-oss", ["glm4_moe"] = "glm4moe", ["deepseek_v2"] = "deepseek2",
        ["deepseek_v3"] = "deepseek2", ["qwen3_next"] = "qwen3next", ["mamba2"] = "mamba2",
        ["ministral"] = "llama", ["ministral3"] = "mistral3", ["olmo3"] = "olmo2", ["qwen"] = "qwen", ["minicpm3"] = "minicpm3",
        ["qwen3_5_text"] = "qwen35", ["qwen3_5_moe_text"] = "qwen35moe", ["llama4_text"] = "llama4", ["gemma4_text"] = "gemma4",
    };

    // The reasons why the others have none.
    private static readonly Dictionary<string, string> unknown = new(StringComparer.Ordinal)
    {
        ["opt"] = "llama.cpp has no OPT",
        ["bert"] = "llama.cpp reads BERT for the vectors of whole texts and has no head over masked words",
        ["roberta"] = "llama.cpp reads RoBERTa for the vectors of whole texts and has no head over masked words",
        ["modernbert"] = "llama.cpp reads ModernBERT for the vectors of whole texts and has no head over masked words",
        ["xlm-roberta"] = "llama.cpp reads XLM-RoBERTa for the vectors of whole texts and has no head over masked words",
    };

    private static readonly Dictionary<string, string> words = new(StringComparer.Ordinal)
    {
        ["model.embed_tokens"] = "token_embd", ["transformer.wte"] = "token_embd", ["gpt_neox.embed_in"] = "token_embd",
        ["transformer.word_embeddings"] = "token_embd", ["transformer.embedding.word_embeddings"] = "token_embd",
        ["shared"] = "token_embd", ["transformer.word_embeddings_layernorm"] = "token_embd_norm", ["transformer.wpe"] = "position_embd",
        ["model.norm"] = "output_norm", ["transformer.ln_f"] = "output_norm",
        ["gpt_neox.final_layer_norm"] = "output_norm", ["transformer.encoder.final_layernorm"] = "output_norm",
        ["encoder.final_layer_norm"] = "enc.output_norm", ["decoder.final_layer_norm"] = "dec.output_norm",
        ["lm_head"] = "output", ["embed_out"] = "output", ["transformer.output_layer"] = "output", ["input_layernorm"] = "attn_norm",
        ["ln_1"] = "attn_norm", ["post_attention_layernorm"] = "ffn_norm",
        ["ln_2"] = "ffn_norm", ["self_attn.q_proj"] = "attn_q", ["self_attn.k_proj"] = "attn_k", ["self_attn.v_proj"] = "attn_v",
        ["self_attn.o_proj"] = "attn_output", ["self_attn.qkv_proj"] = "attn_qkv",
        ["self_attn.q_norm"] = "attn_q_norm", ["self_attn.k_norm"] = "attn_k_norm", ["attn.c_attn"] = "attn_qkv",
        ["attn.c_proj"] = "attn_output", ["attention.query_key_value"] = "attn_qkv",
        ["attention.dense"] = "attn_output", ["self_attention.query_key_value"] = "attn_qkv", ["self_attention.dense"] = "attn_output",
        ["mlp.gate_proj"] = "ffn_gate", ["mlp.up_proj"] = "ffn_up",
        ["mlp.down_proj"] = "ffn_down", ["mlp.gate_up_proj"] = "ffn_up", ["mlp.c_fc"] = "ffn_up", ["mlp.c_proj"] = "ffn_down",
        ["mlp.dense_h_to_4h"] = "ffn_up", ["mlp.dense_4h_to_h"] = "ffn_down",
        ["mlp.gate"] = "ffn_gate_inp", ["block_sparse_moe.gate"] = "ffn_gate_inp", ["w1"] = "ffn_gate_exps", ["w2"] = "ffn_down_exps",
        ["w3"] = "ffn_up_exps", ["gate_proj"] = "ffn_gate_exps",
        ["down_proj"] = "ffn_down_exps", ["up_proj"] = "ffn_up_exps", ["post_self_attn_layernorm"] = "post_attention_norm",
        ["post_mlp_layernorm"] = "post_ffw_norm", ["ln1"] = "attn_norm", ["ln2"] = "ffn_norm",
        ["model.final_layernorm"] = "output_norm", ["self_attn.dense"] = "attn_output", ["mlp.fc1"] = "ffn_up", ["mlp.fc2"] = "ffn_down",
        ["self_attn.query_layernorm"] = "attn_q_norm", ["self_attn.key_layernorm"] = "attn_k_norm",
        ["mlp.shared_expert.gate_proj"] = "ffn_gate_shexp", ["mlp.shared_expert.up_proj"] = "ffn_up_shexp",
        ["mlp.shared_expert.down_proj"] = "ffn_down_shexp", ["mlp.shared_expert_gate"] = "ffn_gate_inp_shexp",
        ["mlp.shared_experts.gate_proj"] = "ffn_gate_shexp", ["mlp.shared_experts.up_proj"] = "ffn_up_shexp",
        ["mlp.shared_experts.down_proj"] = "ffn_down_shexp", ["ln_attn"] = "attn_norm_2", ["ln_mlp"] = "attn_norm",
        ["model.tok_embeddings"] = "token_embd", ["output"] = "output", ["attention.wo"] = "attn_output",
        ["attention_norm"] = "attn_norm", ["ffn_norm"] = "ffn_norm", ["feed_forward.w1"] = "ffn_gate", ["feed_forward.w2"] = "ffn_down",
        ["feed_forward.w3"] = "ffn_up", ["block_sparse_moe.router.layer"] = "ffn_gate_inp", ["mlp.router"] = "ffn_gate_inp",
        ["self_attn.q_a_proj"] = "attn_q_a", ["self_attn.q_a_layernorm"] = "attn_q_a_norm", ["self_attn.q_b_proj"] = "attn_q_b",
        ["self_attn.kv_a_proj_with_mqa"] = "attn_kv_a_mqa", ["self_attn.kv_a_layernorm"] = "attn_kv_a_norm",
        ["mlp.w1"] = "ffn_up", ["mlp.w2"] = "ffn_gate", ["self_attn.kv_b_proj"] = "attn_kv_b",
        ["feed_forward.gate_proj"] = "ffn_gate", ["feed_forward.up_proj"] = "ffn_up", ["feed_forward.down_proj"] = "ffn_down",
        ["feed_forward.router"] = "ffn_gate_inp", ["feed_forward.shared_expert.gate_proj"] = "ffn_gate_shexp",
        ["feed_forward.shared_expert.up_proj"] = "ffn_up_shexp", ["feed_forward.shared_expert.down_proj"] = "ffn_down_shexp",
        ["router.proj"] = "ffn_gate_inp", ["pre_feedforward_layernorm_2"] = "pre_ffw_norm_2",
        ["post_feedforward_layernorm_1"] = "post_ffw_norm_1", ["post_feedforward_layernorm_2"] = "post_ffw_norm_2",
        ["model.embed_tokens_per_layer"] = "per_layer_token_embd", ["model.per_layer_model_projection"] = "per_layer_model_proj",
        ["model.per_layer_projection_norm"] = "per_layer_proj_norm", ["per_layer_input_gate"] = "inp_gate",
        ["per_layer_projection"] = "proj", ["post_per_layer_input_norm"] = "post_norm",
        ["backbone.embeddings"] = "token_embd", ["backbone.norm_f"] = "output_norm",
    };

    // Families whose second norm stands after attention and is not called the feed-forward part's.
    private static readonly string[] after = ["gpt_oss", "glm4_moe", "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"];

    // Families with norms after the parts of a block: Gemma has them before the parts, too.
    private static readonly Dictionary<string, string> afterWords = new(StringComparer.Ordinal)
    {
        ["post_attention_layernorm"] = "post_attention_norm", ["pre_feedforward_layernorm"] = "ffn_norm",
        ["post_feedforward_layernorm"] = "post_ffw_norm",
    };

    // T5's parts of a block: self-attention, the decoder's cross-attention, and the feed-forward part.
    private static readonly Dictionary<string, string> pairWords = new(StringComparer.Ordinal)
    {
        ["SelfAttention.q"] = "attn_q", ["SelfAttention.k"] = "attn_k", ["SelfAttention.v"] = "attn_v", ["SelfAttention.o"] = "attn_o",
        ["SelfAttention.relative_attention_bias"] = "attn_rel_b",
        ["EncDecAttention.q"] = "cross_attn_q", ["EncDecAttention.k"] = "cross_attn_k", ["EncDecAttention.v"] = "cross_attn_v",
        ["EncDecAttention.o"] = "cross_attn_o",
        ["DenseReluDense.wi"] = "ffn_up", ["DenseReluDense.wi_0"] = "ffn_gate", ["DenseReluDense.wi_1"] = "ffn_up",
        ["DenseReluDense.wo"] = "ffn_down",
        ["0.layer_norm"] = "attn_norm", ["encoder1.layer_norm"] = "ffn_norm", ["decoder1.layer_norm"] = "cross_attn_norm",
        ["decoder2.layer_norm"] = "ffn_norm",
    };

    internal static string ArchitectureOf(string type) => architectures.GetValueOrDefault(type) ?? throw new InputException(
        $"A model of the type '{type}' cannot be exported to GGUF{(unknown.TryGetValue(type, out var why) ? $": {why}" : "")}; known are "
            + $"{string.Join(", ", architectures.Keys)}.");

    /// <summary>A weight's name in llama.cpp. The experts' weights of a layer share one name because they are stacked.</summary>
    /// <param name="type">The model type.</param>
    /// <param name="name">The name in Hugging Face's files.</param>
    internal static string Of(string type, string name)
    {
        var cut = name.LastIndexOf('.');
        var (module, kind) = (name[..cut], name[cut..]);
        if (Expert().Match(module) is { Success: true } expert)
            return $"blk.{expert.Groups["layer"].Value}.{words[expert.Groups["part"].Value]}{kind}";
        if (Pair().Match(module) is { Success: true } pair) return PairOf(pair, name) + kind;
        var block = Block().Match(module);
        var part = block.Success ? block.Groups["part"].Value : module;
        var word = (type is "gemma2" or "gemma3_text" or "gemma4_text" or "olmo2" or "olmo3" or "exaone4" || after.Contains(type)
            ? afterWords.GetValueOrDefault(part)
            : null)
            ?? words.GetValueOrDefault(part) ?? throw Unknown(type, name);
        return (block.Success ? $"blk.{block.Groups["layer"].Value}." : "") + word + kind;
    }

    private static string PairOf(Match match, string name)
    {
        var (stack, sublayer, part) = (match.Groups["stack"].Value, match.Groups["sub"].Value, match.Groups["part"].Value);
        var norm = (sublayer == "0" ? "" : stack) + sublayer + ".layer_norm";
        var key = part != "layer_norm" ? part : norm;
        return $"{stack[..3]}.blk.{match.Groups["layer"].Value}.{pairWords.GetValueOrDefault(key) ?? throw Unknown("t5", name)}";
    }

    private static InputException Unknown(string type, string name) =>
        new($"llama.cpp's {architectures[type]} has no counterpart of {name}.");

    [GeneratedRegex(@"^(((model|gpt_neox|transformer\.encoder|backbone)\.layers)|transformer\.h)\.(?<layer>\d+)\.(?<part>.+)$",
        RegexOptions.CultureInvariant)]
    private static partial Regex Block();

    [GeneratedRegex(@"^model\.layers\.(?<layer>\d+)\.(mlp|block_sparse_moe)\.experts\.\d+\.(?<part>w1|w2|w3|gate_proj|up_proj|down_proj)$",
        RegexOptions.CultureInvariant)]
    private static partial Regex Expert();

    [GeneratedRegex(@"^(?<stack>encoder|decoder)\.block\.(?<layer>\d+)\.layer\.(?<sub>\d)\.(?<part>.+)$", RegexOptions.CultureInvariant)]
    private static partial Regex Pair();
}
