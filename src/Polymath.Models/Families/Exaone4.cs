using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// EXAONE 4 (LG AI Research 2025): norms after each part instead of before, and over the heads of queries and keys; where some layers
/// have a sliding window, only these rotate.
/// </summary>
public sealed class Exaone4 : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Exaone4(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Exaone4(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 32);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 2048);
        var epsilon = read.Double("rms_norm_eps", 1e-5);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(), attention.HeadWidth);
        var pattern = read.Has("sliding_window_pattern") ? read.Maybe("sliding_window_pattern") ?? 0 : 4;
        var window = read.Window(4096);
        var windows = read.Windows(layers, layer => window > 0 && pattern > 0 && (layer + 1) % pattern != 0, 4096);
        Tokens = parts.Tokens(read, Sizes);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var traits = new AttentionTraits
            {
                QueryNorm = parts.Norm(NormKind.Rms, prefix + "self_attn.q_norm", attention.HeadWidth, epsilon).ForwardHeads,
                KeyNorm = parts.Norm(NormKind.Rms, prefix + "self_attn.k_norm", attention.HeadWidth, epsilon).ForwardHeads,
            };
            blocks[layer] = new Block(
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form, windows[layer]) { Rotates = window == 0 || windows[layer] > 0 },
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
