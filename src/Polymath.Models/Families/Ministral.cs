using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Ministral (Mistral AI): Llama's block. The first ones have layers with and without a sliding window; Ministral 3 (2025) grows its
/// queries with the logarithm of their position beyond the original context.
/// </summary>
public sealed class Ministral : LanguageModel
{
    private readonly GatedBlock[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly double growth, origin;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Ministral(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Ministral(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var third = read.Text("model_type", "ministral") == "ministral3";
        var attention = third ? AttentionSizes.Of(read, 8, 128) : AttentionSizes.Of(read, 8);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, third ? 262144 : 131072);
        var epsilon = read.Double("rms_norm_eps", third ? 1e-5 : 1e-6);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        var rope = read.Rope(third ? 1e6 : 10000);
        rotary = parts.Rotary(rope, attention.HeadWidth);
        growth = third ? read.OfRope("llama_4_scaling_beta", 0) : 0;
        origin = rope.OriginalContext;
        var windows = read.Windows(layers, _ => true, third ? 0 : 4096);
        Tokens = parts.Tokens(read, Sizes);
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
                    new AttentionPlace(layer, form, windows[layer]),
                    new AttentionTraits()),
                parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon),
                GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation));
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
        // 1 + β·ln(1 + ⌊p/original⌋)
        var factors = growth == 0
            ? null
            : tensor(Array.ConvertAll(batch.Positions, Factor), device: Device).view(-1, 1, 1);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) => block.Forward(
            x,
            batch,
            turns,
            cache,
            factors));
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private float Factor(int place) => (float)(1 + growth * Math.Log(1 + Math.Floor(place / origin)));
}
