using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// OLMo (Groeneveld et al. 2024): Llama's block with norms that have no weights; queries, keys and values may be limited.
/// </summary>
public sealed class Olmo : LanguageModel
{
    private readonly GatedBlock[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Olmo(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Olmo(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 2048);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(), attention.HeadWidth);
        var bias = read.Bool("attention_bias", false);
        var clip = read.Double("clip_qkv", 0);
        norm = new Norm(NormKind.Layer, null, null, 1e-5);
        Tokens = parts.Tokens(read, Sizes);
        blocks = new GatedBlock[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var traits = new AttentionTraits { InputBias = bias, OutputBias = bias, Clip = clip };
            blocks[layer] = new GatedBlock(
                norm,
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form),
                    traits),
                norm,
                GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation));
        }
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
