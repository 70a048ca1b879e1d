using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>SmolLM3 (Hugging Face 2025): Llama's block; some layers do not rotate queries and keys.</summary>
public sealed class SmolLm3 : LanguageModel
{
    private readonly GatedBlock[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public SmolLm3(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private SmolLm3(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 4);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 32768);
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(2e6), attention.HeadWidth);
        bool bias = read.Bool("attention_bias", false), innerBias = read.Bool("mlp_bias", false);
        var interval = read.Int("no_rope_layer_interval", 4);
        var turned = read.Numbers("no_rope_layers");
        if (turned.Count > 0 && turned.Count < layers)
            throw ConfigReader.Fault("no_rope_layers", $"names {turned.Count} layers of {layers}");
        bool Turns(int layer) => turned.Count > 0 ? turned[layer] != 0 : (layer + 1) % interval != 0;
        var slides = read.Bool("use_sliding_window", false);
        var windows = slides ? read.Windows(layers, layer => !Turns(layer), 0) : new int[layers];
        Tokens = parts.Tokens(read, Sizes, tied: true);
        blocks = new GatedBlock[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            blocks[layer] = new GatedBlock(
                parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form, windows[layer]) { Rotates = Turns(layer) },
                    bias,
                    bias),
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
}
