using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>The Llama family (Touvron et al. 2023): norms before each part, rotary positions, grouped queries, SwiGLU; names as in Hugging Face's <c>LlamaForCausalLM</c>.</summary>
public sealed class Llama : LanguageModel
{
    readonly List<Weight> weights = [];
    readonly List<Projection> projections = [];
    readonly Block[] blocks;
    readonly Weight norm;
    readonly Rotary rotary;
    readonly double epsilon;
    readonly FileWeights? files;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Llama(JsonObject configuration, WeightSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        Configuration = configuration;
        var read = new ConfigReader(configuration);
        int hidden = read.Int("hidden_size"), inner = read.Int("intermediate_size"), heads = read.Int("num_attention_heads"), vocabulary = read.Int("vocab_size");
        var sizes = Sizes = new ModelSizes(vocabulary, hidden, read.Int("num_hidden_layers"), heads, read.Int("num_key_value_heads", heads), read.Int("head_dim", hidden / heads), read.Int("max_position_embeddings", 2048));
        epsilon = read.Double("rms_norm_eps", 1e-6);
        var spread = read.Double("initializer_range", 0.02);
        bool attentionBias = read.Bool("attention_bias", false), innerBias = read.Bool("mlp_bias", false);
        read.Expect("hidden_act", "silu");
        if (heads % sizes.KeyValueHeads != 0 || sizes.HeadWidth % 2 != 0)
            throw new InputException($"config.json: {heads} heads cannot share {sizes.KeyValueHeads} key-value heads of width {sizes.HeadWidth}; the first must be a multiple of the second, the width even.");
        rotary = new Rotary(read.Rope(), sizes.HeadWidth);

        var embedding = Take(source.Get("model.embed_tokens.weight", spread, vocabulary, hidden));
        blocks = new Block[sizes.Layers];
        for (var layer = 0; layer < blocks.Length; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            Projection Map(string name, Role role, int output, int input, bool bias) => Plug(source, prefix + name, role, layer, output, input, bias, spread);
            var before = Take(source.Get(prefix + "input_layernorm.weight", null, hidden));
            Projection query = Map("self_attn.q_proj", Role.Query, heads * sizes.HeadWidth, hidden, attentionBias),
                key = Map("self_attn.k_proj", Role.Key, sizes.KeyValueHeads * sizes.HeadWidth, hidden, attentionBias),
                value = Map("self_attn.v_proj", Role.Value, sizes.KeyValueHeads * sizes.HeadWidth, hidden, attentionBias),
                output = Map("self_attn.o_proj", Role.Output, hidden, heads * sizes.HeadWidth, attentionBias);
            var between = Take(source.Get(prefix + "post_attention_layernorm.weight", null, hidden));
            blocks[layer] = new Block(before, query, key, value, output, between, Map("mlp.gate_proj", Role.Gate, inner, hidden, innerBias), Map("mlp.up_proj", Role.Up, inner, hidden, innerBias), Map("mlp.down_proj", Role.Down, hidden, inner, innerBias));
        }
        norm = Take(source.Get("model.norm.weight", null, hidden));
        var tied = read.Bool("tie_word_embeddings", false);
        Tokens = new TokenTable(embedding, tied ? embedding : Take(source.Get("lm_head.weight", spread, vocabulary, hidden)));
        if (source is not FileWeights file) return;
        // Some tools write the shared head a second time.
        if (tied) file.Ignore("lm_head.weight");
        for (var layer = 0; layer < blocks.Length; layer++) file.Ignore($"model.layers.{layer}.self_attn.rotary_emb.inv_freq");
        file.Finish();
        files = file;
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override JsonObject Configuration { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights => weights;

    /// <inheritdoc/>
    public override IReadOnlyList<Projection> Projections => projections;

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["q_proj", "v_proj"];

    /// <inheritdoc/>
    public override Tensor Hidden(Batch batch, KeyValueCache? cache = null)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var (cosine, sine) = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        for (var layer = 0; layer < blocks.Length; layer++)
        {
            var block = blocks[layer];
            x = x + Attention(block, RmsNorm.Of(x, block.Before.Value, epsilon), layer, batch, cosine, sine, cache);
            var y = RmsNorm.Of(x, block.Between.Value, epsilon);
            x = x + block.Down.Forward(SwiGlu.Of(block.Gate.Forward(y), block.Up.Forward(y)));
        }
        cache?.Advance(batch);
        return RmsNorm.Of(x, norm.Value, epsilon);
    }

    Tensor Attention(Block block, Tensor x, int layer, Batch batch, Tensor cosine, Tensor sine, KeyValueCache? cache)
    {
        var scale = 1 / Math.Sqrt(Sizes.HeadWidth);
        var query = Rotation.Of(block.Query.Forward(x).view(-1, Sizes.Heads, Sizes.HeadWidth), cosine, sine);       // [tokens, heads, D]
        var key = Rotation.Of(block.Key.Forward(x).view(-1, Sizes.KeyValueHeads, Sizes.HeadWidth), cosine, sine);   // [tokens, keyValueHeads, D]
        var value = block.Value.Forward(x).view(-1, Sizes.KeyValueHeads, Sizes.HeadWidth);
        var mixed = cache is null
            ? RaggedAttention.Of(query, key, value, batch.Offsets, scale)
            : cache.Attend(layer, batch, query, key, value, scale);
        return block.Output.Forward(mixed.view(-1, (long)Sizes.Heads * Sizes.HeadWidth));                           // [tokens, hidden]
    }

    Weight Take(Weight weight)
    {
        weights.Add(weight);
        return weight;
    }

    Projection Plug(WeightSource source, string name, Role role, int layer, int output, int input, bool bias, double spread)
    {
        var projection = new Projection(name, role, layer, Take(source.Get(name + ".weight", spread, output, input)), bias ? Take(source.Get(name + ".bias", 0, output)) : null);
        projections.Add(projection);
        return projection;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        rotary.Dispose();
        files?.Dispose();
    }

    /// <summary>The configuration of a new model.</summary>
    /// <param name="spec">The sizes a recipe asks for.</param>
    /// <param name="vocabularySize">The tokenizer's tokens.</param>
    /// <param name="begin">The token that begins a row.</param>
    /// <param name="end">The token that ends a text.</param>
    public static JsonObject Configure(LlamaSpec spec, int vocabularySize, int begin, int end)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var configuration = new JsonObject
        {
            ["architectures"] = new JsonArray("LlamaForCausalLM"),
            ["model_type"] = "llama",
            ["vocab_size"] = vocabularySize,
            ["hidden_size"] = spec.HiddenSize,
            ["intermediate_size"] = spec.IntermediateSize,
            ["num_hidden_layers"] = spec.Layers,
            ["num_attention_heads"] = spec.Heads,
            ["num_key_value_heads"] = spec.KeyValueHeads ?? spec.Heads,
            ["head_dim"] = spec.HiddenSize / spec.Heads,
            ["hidden_act"] = "silu",
            ["max_position_embeddings"] = spec.ContextLength,
            ["initializer_range"] = spec.InitializerRange,
            ["rms_norm_eps"] = spec.NormEpsilon,
            ["rope_theta"] = spec.RopeTheta,
            ["attention_bias"] = false,
            ["mlp_bias"] = false,
            ["tie_word_embeddings"] = spec.TiedHead,
            ["bos_token_id"] = begin,
            ["eos_token_id"] = end,
            ["dtype"] = "float32",
            ["torch_dtype"] = "float32",
        };
        // Read back, so that its values are what a file's would be.
        return (JsonObject)JsonNode.Parse(configuration.ToJsonString())!;
    }

    sealed record Block(Weight Before, Projection Query, Projection Key, Projection Value, Projection Output, Weight Between, Projection Gate, Projection Up, Projection Down);
}
