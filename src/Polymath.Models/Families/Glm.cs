using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// GLM-4 in transformers' own layout (GLM Team 2024): Llama's block with half of each head rotated, neighbouring elements paired, gate and
/// up in one map. <c>glm4</c> adds norms after each part.
/// </summary>
public sealed class Glm : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Glm(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Glm(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 2, 128);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 131072);
        var epsilon = read.Double("rms_norm_eps", 1.5625e-7);
        var after = read.Text("model_type", "glm") == "glm4";
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        var rope = read.Rope(10000, 0.5);
        // With stretched rotary positions, the rotated share comes from the older key, whatever the newer ones say: transformers reads
        // these families so.
        if (rope.Type != "default") rope = rope with { Partial = read.Double("partial_rotary_factor", 0.5) };
        rotary = parts.Rotary(rope, attention.HeadWidth, interleaved: true);
        var bias = read.Bool("attention_bias", true);
        Tokens = parts.Tokens(read, Sizes);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            Norm Scale(string name) => parts.Norm(NormKind.Rms, prefix + name, hidden, epsilon);
            blocks[layer] = new Block(
                Scale("input_layernorm"),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form),
                    bias),
                after ? Scale("post_self_attn_layernorm") : null,
                Scale("post_attention_layernorm"),
                GatedFeedForward.Fused(
                    parts,
                    prefix + "mlp.gate_up_proj",
                    prefix + "mlp.down_proj",
                    layer,
                    hidden,
                    inner,
                    activation),
                after ? Scale("post_mlp_layernorm") : null);
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
            var mixed = block.Attention.Forward(block.BeforeAttention.Forward(x), batch, turns, cache);
            x = x + (block.AfterAttention?.Forward(mixed) ?? mixed);
            var fed = block.FeedForward.Forward(block.BeforeFeedForward.Forward(x));
            x = x + (block.AfterFeedForward?.Forward(fed) ?? fed);
            return x;
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed record Block(
        Norm BeforeAttention,
        GroupedAttention Attention,
        Norm? AfterAttention,
        Norm BeforeFeedForward,
        GatedFeedForward FeedForward,
        Norm? AfterFeedForward);
}
