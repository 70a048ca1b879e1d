using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Export;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>GGUF files, read back by the tests' own small reader.</summary>
[Trait("kind", "unit")]
public sealed class GgufTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private GgufContent Export(string name, BlockType type)
    {
        using var model = ModelFolder.Open(
            new[] { TextFixtures.At("models", name), TextFixtures.At("families", name), TextFixtures.At("own", "models", name) }
                .Single(Directory.Exists));
        var writer = new GgufWriter();
        new GgufModel(model).AddTo(writer, type, name);
        writer.Write(folder.At("x.gguf"));
        return GgufContent.Read(folder.At("x.gguf"));
    }

    [Fact]
    public void A_llama_has_its_sizes_and_its_heads_in_pairs()
    {
        using var scope = NewDisposeScope();
        var content = Export("llama", BlockType.F32);
        Assert.Equal(
            ("llama", 64u, 3u, 2u),
            (
                content.Values["general.architecture"],
                content.Values["llama.embedding_length"],
                content.Values["llama.block_count"],
                content.Values["llama.attention.head_count_kv"]));
        using var file = SafetensorsFile.Open(TextFixtures.At("models", "llama", "model.safetensors"));
        Assert.Equal(file.Entries.Count, content.Tensors.Count);
        Assert.Equal(Samples.Floats(file.Map("model.layers.1.mlp.down_proj.weight")), content.Floats("blk.1.ffn_down.weight"));
        // Element i of a head and element i + 8 become neighbours.
        float[] theirs = Samples.Floats(file.Map("model.layers.0.self_attn.k_proj.weight")), ours = content.Floats("blk.0.attn_k.weight");
        for (var row = 0; row < 32; row++)
        {
            var from = row / 16 * 16 + row % 16 / 2 + row % 2 * 8;
            Assert.Equal(theirs[(from * 64)..(from * 64 + 64)], ours[(row * 64)..(row * 64 + 64)]);
        }
    }

    [Theory]
    [InlineData("qwen2", "qwen2")]
    [InlineData("qwen3", "qwen3")]
    [InlineData("gemma2", "gemma2")]
    [InlineData("phi3", "phi3")]
    [InlineData("gpt2", "gpt2")]
    [InlineData("gpt-neox", "gptneox")]
    [InlineData("bloom", "bloom")]
    [InlineData("mistral-window", "llama")]
    [InlineData("llama3-rope-tied", "llama")]
    [InlineData("mixtral", "llama")]
    [InlineData("qwen3-moe", "qwen3moe")]
    [InlineData("glm", "chatglm")]
    [InlineData("chatglm2", "chatglm")]
    [InlineData("glm4", "glm4")]
    [InlineData("t5", "t5")]
    [InlineData("t5-gated", "t5")]
    [InlineData("falcon-7b", "falcon")]
    [InlineData("falcon-new", "falcon")]
    [InlineData("internlm2", "internlm2")]
    [InlineData("granitemoe", "granitemoe")]
    [InlineData("gpt_oss", "gpt-oss")]
    [InlineData("glm4_moe", "glm4moe")]
    [InlineData("deepseek_v3", "deepseek2")]
    public void Every_weight_of_a_family_has_a_name(string name, string architecture)
    {
        foreach (var type in BlockType.All)
        {
            var content = Export(name, type);
            Assert.Equal(architecture, content.Values["general.architecture"]);
            Assert.Contains("token_embd.weight", content.Tensors.Keys);
            Assert.Contains(content.Tensors.Values, place => place.Shape.Length == 1 && place.Type == 0);
        }
        Assert.Equal(name == "llama3-rope-tied", GgufContent.Read(folder.At("x.gguf")).Tensors.ContainsKey("rope_freqs.weight"));
    }

    [Fact]
    public void Experts_in_one_weight_are_apart_as_llama_cpp_has_them()
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(TextFixtures.At("families", "gpt_oss", "model.safetensors"));
        var content = Export("gpt_oss", BlockType.F32);
        var both = file.Map("model.layers.1.mlp.experts.gate_up_proj");                                       // [experts, in, 2·inner]
        foreach (var (name, from) in new[] { ("ffn_gate_exps", 0), ("ffn_up_exps", 1) })
        {
            Assert.Equal(Samples.Floats(both.slice(2, from, both.size(2), 2).transpose(1, 2)), content.Floats($"blk.1.{name}.weight"));
            Assert.Equal(
                Samples.Floats(file.Map("model.layers.1.mlp.experts.gate_up_proj_bias").slice(1, from, both.size(2), 2)),
                content.Floats($"blk.1.{name}.bias"));
        }
        Assert.Contains("rounds the ramp", Assert.Single(Notes("gpt_oss")));
        Assert.Empty(Notes("granitemoe"));
    }

    private static IReadOnlyList<string> Notes(string name)
    {
        using var model = ModelFolder.Open(TextFixtures.At("families", name));
        return new GgufModel(model).Notes;
    }

    [Fact]
    public void Latent_maps_are_unfolded_head_by_head_with_the_keys_transposed()
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(TextFixtures.At("families", "deepseek_v3", "model.safetensors"));
        var content = Export("deepseek_v3", BlockType.F32);
        var both = file.Map("model.layers.0.self_attn.kv_b_proj.weight").view(4, 12 + 10, 16);
        Assert.Equal(Samples.Floats(both.narrow(1, 0, 12).transpose(1, 2)), content.Floats("blk.0.attn_k_b.weight"));
        Assert.Equal(Samples.Floats(both.narrow(1, 12, 10)), content.Floats("blk.0.attn_v_b.weight"));
        Assert.Equal((1u, 24u, 12u + 8u, 4u), (
            content.Values["deepseek2.attention.head_count_kv"],
            content.Values["deepseek2.attention.key_length"],
            content.Values["deepseek2.attention.key_length_mla"],
            content.Values["deepseek2.expert_group_count"]));
    }

    [Theory]
    [InlineData("bert-classify", "vectors of whole texts")]
    [InlineData("bert-mlm", "no head over masked words")]
    [InlineData("roberta-mlm", "no head over masked words")]
    [InlineData("opt", "llama.cpp has no OPT")]
    [InlineData("chatglm", "ChatGLM2 and later")]
    [InlineData("bloom-six-heads", "apply_residual_connection_post_layernorm")]
    [InlineData("gpt2-scaled-relu", "relu")]
    [InlineData("qwen3-bias-tied", "attention_bias")]
    [InlineData("qwen3-moe-dense-layer", "norm_topk_prob")]
    [InlineData("t5-untied", "gated-silu")]
    [InlineData("llama-classify", "head over labels")]
    [InlineData("falcon-alibi", "alibi is true")]
    [InlineData("baichuan-7b", "takes a model of 32 layers as rotated")]
    [InlineData("deepseek_v2", "q_lora_rank is null, and there are 2 layers")]
    [InlineData("qwen3_next", "linear_key_head_dim and linear_value_head_dim differ")]
    [InlineData("mamba2", "normalises within groups; n_groups is 2")]
    [InlineData("llama4_text", "rotary positions and pieces in all but every 4th layer")]
    [InlineData("olmo3", "sliding windows in all but every 4th layer")]
    [InlineData("qwen3_5_text", "linear_key_head_dim and linear_value_head_dim differ")]
    public void What_llama_cpp_does_not_know_is_refused(string name, string what) =>
        Assert.Contains(what, Assert.Throws<InputException>(() => Export(name, BlockType.F16)).Message);

    [Theory]
    [InlineData("gpt2", "gpt2", "gpt-2")]
    [InlineData("llama3", "gpt2", "dbrx")]
    [InlineData("qwen", "gpt2", "qwen2")]
    [InlineData("llama2", "llama", "default")]
    [InlineData("roberta", "gpt2", "gpt-2")]
    public void A_tokenizer_has_its_kind_and_its_pre_tokenizer(string name, string model, string pre)
    {
        var tokenizer = Polymath.Text.Tokenizer.Load(TextFixtures.At("tokenizers", name));
        var writer = new GgufWriter();
        new GgufTokenizer(TextFixtures.At("tokenizers", name)).AddTo(writer, tokenizer.VocabularySize + 3, []);
        writer.Write(folder.At("x.gguf"));
        var values = GgufContent.Read(folder.At("x.gguf")).Values;
        Assert.Equal((model, pre), (values["tokenizer.ggml.model"], values["tokenizer.ggml.pre"]));
        var tokens = (object[])values["tokenizer.ggml.tokens"];
        Assert.Equal(tokenizer.VocabularySize + 3, tokens.Length);
        Assert.Equal(5, ((object[])values["tokenizer.ggml.token_type"])[^1]);
        Assert.Equal(tokenizer.TokenOf(300), tokens[300]);
    }

    [Theory]
    [InlineData("llama", """{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "beta_fast": 4}""", null)]
    [InlineData("qwen2", """{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 4096, "beta_fast": 4}""", "beta_fast")]
    [InlineData("qwen2",
        """{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 64}""",
        "only its llama and llama4 do")]
    [InlineData("qwen2", """{"rope_type": "longrope", "short_factor": [], "long_factor": [], "original_max_position_embeddings": 64}""",
        "its llama, phi3 and minicpm3 do")]
    public void Frequencies_of_their_own_need_llama_cpps_llama(string name, string rope, string? refusal)
    {
        var configuration = ModelFolder.Configuration(TextFixtures.At("models", name));
        var turns = (JsonObject)JsonNode.Parse(rope)!;
        var pairs = new ConfigReader(configuration).Int("hidden_size") / new ConfigReader(configuration).Int("num_attention_heads") / 2;
        foreach (var key in new[] { "short_factor", "long_factor" })
            if (turns.ContainsKey(key))
                turns[key] = new JsonArray([.. Enumerable.Repeat(1.0, pairs).Select(factor => JsonValue.Create(factor))]);
        configuration["rope_parameters"] = turns;
        using var model = ModelFolder.New(configuration, 1);
        var writer = new GgufWriter();
        if (refusal is not null)
        {
            Assert.Contains(refusal, Assert.Throws<InputException>(() => new GgufModel(model).AddTo(writer, BlockType.F16, name)).Message);
            return;
        }
        new GgufModel(model).AddTo(writer, BlockType.F16, name);
        writer.Write(folder.At("x.gguf"));
        var content = GgufContent.Read(folder.At("x.gguf"));
        // The fastest pairs do not change, the slowest are stretched in full.
        var divisors = content.Floats("rope_freqs.weight");
        Assert.Equal((1f, 4f), (divisors[0], divisors[^1]));
        Assert.Equal(0.1f * MathF.Log(4) + 1, (float)content.Values["llama.rope.scaling.attn_factor"], 1e-6f);
    }

    [Fact]
    public void Experts_are_stacked_and_their_choice_stays_exact()
    {
        using var scope = NewDisposeScope();
        var content = Export("mixtral", BlockType.F32);
        Assert.Equal((4u, 2u), (content.Values["llama.expert_count"], content.Values["llama.expert_used_count"]));
        using var file = SafetensorsFile.Open(TextFixtures.At("models", "mixtral", "model.safetensors"));
        var (shape, _, _) = content.Tensors["blk.1.ffn_down_exps.weight"];
        Assert.Equal([4, 64, 112], shape);
        Assert.Equal(
            Samples.Floats(file.Map("model.layers.1.block_sparse_moe.experts.2.w2.weight")),
            content.Floats("blk.1.ffn_down_exps.weight")[(2 * 64 * 112)..(3 * 64 * 112)]);
        Assert.Equal("f32", Export("mixtral", BlockType.Q8Zero).TypeOf("blk.1.ffn_gate_inp.weight"));
    }

    [Theory]
    [InlineData("llama-rope-linear", "scaling.type", "linear")]
    [InlineData("llama-rope-linear", "scaling.factor", 3f)]
    [InlineData("llama-rope-yarn", "scaling.type", "yarn")]
    [InlineData("llama-rope-yarn", "scaling.original_context_length", 16u)]
    [InlineData("phi3-longrope", "scaling.type", "longrope")]
    [InlineData("llama-rope-dynamic", null, 8u)]
    [InlineData("mixtral-window", null, 4u)]
    public void Stretched_positions_are_said_in_llama_cpps_words(string name, string? key, object value)
    {
        var content = Export(name, BlockType.F16);
        var architecture = content.Values["general.architecture"];
        Assert.Equal(value, content.Values[key is null ? $"{architecture}.context_length" : $"{architecture}.rope.{key}"]);
        Assert.Equal(
            name == "phi3-longrope",
            content.Tensors.ContainsKey("rope_factors_long.weight") && content.Tensors.ContainsKey("rope_factors_short.weight"));
    }

    [Theory]
    [InlineData("tokenizer-kinds", "bpe_bloom", "bloom")]
    [InlineData("tokenizer-kinds", "bpe_gpt4", "dbrx")]
    [InlineData("tokenizer-kinds", "bpe_gpt4o", "gpt-4o")]
    [InlineData("tokenizer-files", "glm4", "llama-bpe")]
    [InlineData("tokenizer-files", "qwen1", "qwen2")]
    public void A_way_to_split_has_llama_cpps_name(string kind, string name, string pre)
    {
        var writer = new GgufWriter();
        new GgufTokenizer(TextFixtures.At(kind, name)).AddTo(writer, 1000, []);
        writer.Write(folder.At("x.gguf"));
        Assert.Equal(pre, GgufContent.Read(folder.At("x.gguf")).Values["tokenizer.ggml.pre"]);
    }

    [Fact]
    public void Unigram_pieces_have_their_scores_and_their_table_of_characters()
    {
        var writer = new GgufWriter();
        var tokenizer = new GgufTokenizer(TextFixtures.At("tokenizer-files", "t5"));
        tokenizer.AddTo(writer, 400, []);
        writer.Write(folder.At("x.gguf"));
        var values = GgufContent.Read(folder.At("x.gguf")).Values;
        Assert.Equal(
            ("t5", true, true, false),
            (
                values["tokenizer.ggml.model"],
                values["tokenizer.ggml.add_eos_token"],
                values["tokenizer.ggml.add_space_prefix"],
                values["tokenizer.ggml.add_bos_token"]));
        Assert.True(((object[])values["tokenizer.ggml.precompiled_charsmap"]).Length > 1000);
        Assert.Contains(((object[])values["tokenizer.ggml.scores"]).Cast<float>(), score => score < -1);
        Assert.Equal("my-phi 3-mini", tokenizer.NameFor("my-Phi-3-mini"));
    }

    [Theory]
    [InlineData("bpe_digits", "a space before a text")]
    [InlineData("uni_bytes", "fall back to bytes")]
    [InlineData("metasplit_always", "NFKC")]
    [InlineData("bpe_anchor", "splits by")]
    public void A_tokenizer_that_llama_cpp_would_read_otherwise_is_refused(string name, string what) =>
        Assert.Contains(
            what,
            Assert.Throws<InputException>(
                () => new GgufTokenizer(TextFixtures.At("tokenizer-kinds", name)).AddTo(new GgufWriter(), 1000, [])).Message);

    [Fact]
    public void A_tokenizer_without_a_counterpart_is_refused() => Assert.Contains(
        "cannot be exported",
        Assert.Throws<InputException>(
            () => new GgufTokenizer(TextFixtures.At("tokenizers", "bert")).AddTo(new GgufWriter(), 1000, [])).Message);
}
