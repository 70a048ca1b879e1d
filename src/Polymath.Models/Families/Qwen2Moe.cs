using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Qwen 1.5's and 2's mixture of experts (Yang et al. 2024): Qwen 2's attention; besides the chosen blocks, every token goes through a
/// shared one with a gate of its own.
/// </summary>
public sealed class Qwen2Moe : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Qwen2Moe(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Qwen2Moe(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 16);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 32768);
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(), attention.HeadWidth);
        var bias = read.Bool("qkv_bias", true);
        var from = read.Maybe("max_window_layers") ?? 28;
        var windows = read.Bool("use_sliding_window", false) ? read.Windows(layers, layer => layer >= from, 4096) : new int[layers];
        var dense = read.Numbers("mlp_only_layers");
        int experts = read.Int("num_experts", 60), step = read.Int("decoder_sparse_step", 1);
        Tokens = parts.Tokens(read, Sizes);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var before = parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon);
            var place = new AttentionPlace(layer, form, windows[layer]);
            var attend = new GroupedAttention(
                parts,
                prefix + "self_attn.",
                attention,
                place,
                bias);
            var between = parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon);
            Func<Tensor, Tensor> feed = dense.Contains(layer) || (layer + 1) % step != 0
                ? GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation).Forward
                : SharedMixture.Of(
                    parts,
                    read,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    experts,
                    read.Bool("norm_topk_prob", false),
                    activation);
            blocks[layer] = new Block(before, attend, between, feed);
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
            x = x + block.Attention.Forward(block.Before.Forward(x), batch, turns, cache);
            return x + block.FeedForward(block.Between.Forward(x));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed record Block(Norm Before, GroupedAttention Attention, Norm Between, Func<Tensor, Tensor> FeedForward);
}
