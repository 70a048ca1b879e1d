using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// GLM-4.5 (GLM Team 2025): grouped queries, half of each head rotated, and a mixture of experts with DeepSeek V3's routing and shared
/// experts after the first layers.
/// </summary>
public sealed class Glm4Moe : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Glm4Moe(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Glm4Moe(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 8, 128);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 131072);
        var epsilon = read.Double("rms_norm_eps", 1e-5);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(10000, 0.5), attention.HeadWidth);
        var bias = read.Bool("attention_bias", false);
        var headNorms = read.Bool("use_qk_norm", false);
        var dense = read.Maybe("first_k_dense_replace") ?? 1;
        var groups = new ExpertGroups(
            read.Int("n_group", 1),
            read.Int("topk_group", 1),
            read.Int("num_experts_per_tok", 8),
            read.Bool("norm_topk_prob", true),
            read.Double("routed_scaling_factor", 1));
        Tokens = parts.Tokens(read, Sizes);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            Norm Heads(string name) => parts.Norm(NormKind.Rms, prefix + "self_attn." + name, attention.HeadWidth, epsilon);
            var traits = new AttentionTraits
            {
                InputBias = bias,
                QueryNorm = headNorms ? Heads("q_norm").ForwardHeads : null,
                KeyNorm = headNorms ? Heads("k_norm").ForwardHeads : null,
            };
            blocks[layer] = new Block(
                parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form),
                    traits),
                parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon),
                layer < dense
                    ? GatedFeedForward.Apart(
                        parts,
                        prefix + "mlp.",
                        layer,
                        hidden,
                        inner,
                        activation).Forward
                    : GroupedMixture.Of(
                        parts,
                        read,
                        prefix + "mlp.",
                        layer,
                        hidden,
                        groups,
                        activation));
        }
        norm = parts.Norm(NormKind.Rms, "model.norm", hidden, epsilon);
        Labels = LabelHead.Attach(read, parts, hidden, LabelPlace.Last);
        parts.Finish($@"model\.layers\.({layers}|{layers + 1})\..*");
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
            x = x + block.Attention.Forward(block.Before.Forward(x), batch, turns, cache);
            return x + block.FeedForward(block.Between.Forward(x));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed record Block(Norm Before, GroupedAttention Attention, Norm Between, Func<Tensor, Tensor> FeedForward);
}
