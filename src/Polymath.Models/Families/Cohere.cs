using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Command R (Cohere 2024): attention and feed-forward part read the same norm; neighbouring elements of a head are paired; logits have a
/// factor. Command R7B (<c>cohere2</c>) rotates only in layers with a sliding window.
/// </summary>
public sealed class Cohere : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly double logitScale;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Cohere(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Cohere(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var second = read.Text("model_type", "cohere") == "cohere2";
        var attention = AttentionSizes.Of(read);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 8192);
        var epsilon = read.Double("layer_norm_eps", 1e-5);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(second ? 10000 : 5e5), attention.HeadWidth, interleaved: true);
        var bias = read.Bool("attention_bias", false);
        logitScale = read.Double("logit_scale", 0.0625);
        var pattern = read.Int("sliding_window_pattern", 4);
        var windows = second ? read.Windows(layers, layer => (layer + 1) % pattern != 0, 4096) : new int[layers];
        var headNorms = !second && read.Bool("use_qk_norm", false);
        Tokens = parts.Tokens(read, Sizes, tied: true);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            Norm Heads(string name, int heads) => parts.HeadsNorm(
                NormKind.Layer,
                prefix + "self_attn." + name,
                heads,
                attention.HeadWidth,
                epsilon);
            var traits = new AttentionTraits
            {
                InputBias = bias,
                OutputBias = bias,
                QueryNorm = headNorms ? Heads("q_norm", attention.Heads).ForwardHeads : null,
                KeyNorm = headNorms ? Heads("k_norm", attention.KeyValueHeads).ForwardHeads : null,
            };
            var place = new AttentionPlace(layer, form, windows[layer]) { Rotates = !second || windows[layer] > 0 };
            blocks[layer] = new Block(
                parts.Norm(
                    NormKind.Layer,
                    prefix + "input_layernorm",
                    hidden,
                    epsilon,
                    bias: false),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    place,
                    traits),
                GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation));
        }
        norm = parts.Norm(
            NormKind.Layer,
            "model.norm",
            hidden,
            epsilon,
            bias: false);
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
    public override Tensor Readout(Tensor hidden) => hidden * logitScale;

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            var y = block.Before.Forward(x);
            return x + block.Attention.Forward(y, batch, turns, cache) + block.FeedForward.Forward(y);
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed record Block(Norm Before, GroupedAttention Attention, GatedFeedForward FeedForward);
}
