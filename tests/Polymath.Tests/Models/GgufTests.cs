using Polymath.Models;
using Polymath.Models.Export;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>GGUF files, read back by a small reader of the tests' own.</summary>
[Trait("kind", "unit")]
public sealed class GgufTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private GgufContent Export(string name, BlockType type)
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", name));
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
        Assert.Equal(("llama", 64u, 3u, 2u), (content.Values["general.architecture"], content.Values["llama.embedding_length"], content.Values["llama.block_count"], content.Values["llama.attention.head_count_kv"]));
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

    [Theory]
    [InlineData("t5", "cannot be exported")]
    [InlineData("bert-classify", "cannot be exported")]
    [InlineData("chatglm2", "cannot be exported")]
    public void What_llama_cpp_does_not_know_is_refused(string name, string what) => Assert.Contains(what, Assert.Throws<InputException>(() => Export(name, BlockType.F16)).Message);

    [Theory]
    [InlineData("gpt2", "gpt2", "gpt-2")]
    [InlineData("llama3", "gpt2", "llama-bpe")]
    [InlineData("qwen", "gpt2", "qwen2")]
    [InlineData("llama2", "llama", "default")]
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

    [Fact]
    public void A_tokenizer_without_a_counterpart_is_refused() => Assert.Contains("cannot be exported", Assert.Throws<InputException>(() => new GgufTokenizer(TextFixtures.At("tokenizers", "bert")).AddTo(new GgufWriter(), 1000, [])).Message);
}
