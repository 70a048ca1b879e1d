using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// The Llama family (Touvron et al. 2023): norms before each part, rotary positions, grouped queries, SwiGLU; names as in Hugging Face's
/// <c>LlamaForCausalLM</c>. Mistral (Jiang et al. 2023) adds a sliding window, Qwen 2 biases on query, key and value, Qwen 3 norms over the
/// heads of queries and keys; their configurations select these.
/// </summary>
public sealed class Llama : LanguageModel
{
    private readonly GatedBlock[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Llama(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Llama(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var type = read.Text("model_type", "llama");
        // Missing settings have transformers' defaults.
        var attention = type switch
        {
            "mistral" => AttentionSizes.Of(read, 8),
            "qwen2" => AttentionSizes.Of(read, 32),
            "qwen3" => AttentionSizes.Of(read, 32, 128),
            _ => AttentionSizes.Of(read),
        };
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, type switch { "mistral" => 131072, "qwen2" or "qwen3" => 32768, _ => 2048 });
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        var rope = read.Rope();
        rotary = parts.Rotary(rope, attention.HeadWidth);
        // With the dynamic way of stretching, the configuration has the original context; with the others, the whole context.
        if (rope.Type == "dynamic") Sizes = Sizes with { ContextLength = (int)(Sizes.ContextLength * rope.Factor) };
        bool inputBias = type == "qwen2" || read.Bool("attention_bias", false),
            outputBias = type != "qwen2" && read.Bool("attention_bias", false),
            innerBias = type == "llama" && read.Bool("mlp_bias", false);
        // Mistral has a sliding window in every layer; Qwen only when configured, above a number of layers.
        int Told() => read.Bool("use_sliding_window", false) ? read.Maybe("max_window_layers") ?? 28 : layers;
        var slidesFrom = type == "mistral" ? 0 : Told();
        var windows = type == "llama" ? new int[layers] : read.Windows(layers, layer => layer >= slidesFrom, 4096);

        Tokens = parts.Tokens(read, Sizes);
        blocks = new GatedBlock[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var place = new AttentionPlace(layer, form, windows[layer]);
            blocks[layer] = new GatedBlock(
                parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    place,
                    inputBias,
                    outputBias,
                    type == "qwen3" ? epsilon : null),
                parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon),
                GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation,
                    innerBias));
        }
        norm = parts.Norm(NormKind.Rms, "model.norm", hidden, epsilon);
        Labels = LabelHead.Attach(read, parts, hidden, LabelPlace.Last);
        parts.Finish();
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["q_proj", "v_proj"];

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) => block.Forward(x, batch, turns, cache));
        cache?.Advance(batch);
        return norm.Forward(x);
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
        // Parsed again, so that its values have the same types as a file's.
        return (JsonObject)JsonNode.Parse(configuration.ToJsonString())!;
    }
}
