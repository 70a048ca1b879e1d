using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// StableLM (Bellagente et al. 2024): Llama's block with norms by mean and variance; part of each head is rotated; both parts may read
/// the same norm.
/// </summary>
public sealed class StableLm : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly bool parallel;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public StableLm(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private StableLm(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 32);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 4096);
        var epsilon = read.Double("layer_norm_eps", 1e-5);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(10000, 0.25), attention.HeadWidth);
        var bias = read.Bool("use_qkv_bias", false);
        var headNorms = read.Bool("qk_layernorm", false);
        parallel = read.Bool("use_parallel_residual", false);
        Tokens = parts.Tokens(read, Sizes);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            // Each head's norm has a weight of its own.
            Func<Tensor, Tensor> Heads(string name, int heads)
            {
                var each = Enumerable.Range(0, heads)
                    .Select(head => parts.Norm(
                        NormKind.Layer,
                        $"{prefix}self_attn.{name}.norms.{head}",
                        attention.HeadWidth,
                        epsilon,
                        bias: false)).ToList();
                return x => stack([.. each.Select((scale, head) => scale.Forward(x.select(1, head)))], 1);
            }
            var traits = new AttentionTraits
            {
                InputBias = bias,
                QueryNorm = headNorms ? Heads("q_layernorm", attention.Heads) : null,
                KeyNorm = headNorms ? Heads("k_layernorm", attention.KeyValueHeads) : null,
            };
            blocks[layer] = new Block(
                parts.Norm(NormKind.Layer, prefix + "input_layernorm", hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form),
                    traits),
                parallel ? null : parts.Norm(NormKind.Layer, prefix + "post_attention_layernorm", hidden, epsilon),
                GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation));
        }
        norm = parts.Norm(NormKind.Layer, "model.norm", hidden, epsilon);
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
            var y = block.Before.Forward(x);
            var mixed = block.Attention.Forward(y, batch, turns, cache);
            return x + mixed + block.FeedForward.Forward(block.Between?.Forward(x + mixed) ?? y);
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed record Block(Norm Before, GroupedAttention Attention, Norm? Between, GatedFeedForward FeedForward);
}
