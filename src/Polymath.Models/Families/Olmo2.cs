using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// OLMo 2 (OLMo Team 2024): norms after each part instead of before, and over the whole of queries and of keys. OLMo 3 (2025) adds layers
/// with a sliding window.
/// </summary>
public sealed class Olmo2 : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Olmo2(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Olmo2(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var third = read.Text("model_type", "olmo2") == "olmo3";
        var attention = AttentionSizes.Of(read);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, third ? 65536 : 2048);
        var epsilon = read.Double("rms_norm_eps", 1e-5);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(), attention.HeadWidth);
        var bias = read.Bool("attention_bias", false);
        var windows = third ? read.Windows(layers, layer => (layer + 1) % 4 != 0, 4096) : new int[layers];
        Tokens = parts.Tokens(read, Sizes);
        int whole = attention.Heads * attention.HeadWidth, shared = attention.KeyValueHeads * attention.HeadWidth;
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var traits = new AttentionTraits
            {
                InputBias = bias,
                OutputBias = bias,
                QueryNorm = parts.Norm(NormKind.Rms, prefix + "self_attn.q_norm", whole, epsilon).ForwardWhole,
                KeyNorm = parts.Norm(NormKind.Rms, prefix + "self_attn.k_norm", shared, epsilon).ForwardWhole,
            };
            blocks[layer] = new Block(
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form, windows[layer]),
                    traits),
                parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon),
                GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation),
                parts.Norm(NormKind.Rms, prefix + "post_feedforward_layernorm", hidden, epsilon));
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
        x = Through(blocks, x, (block, x) =>
        {
            x = x + block.AfterAttention.Forward(block.Attention.Forward(x, batch, turns, cache));
            return x + block.AfterFeedForward.Forward(block.FeedForward.Forward(x));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed record Block(GroupedAttention Attention, Norm AfterAttention, GatedFeedForward FeedForward, Norm AfterFeedForward);
}
