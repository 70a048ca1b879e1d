using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Llama's block with a mixture of experts instead of the feed-forward part: Mixtral (Jiang et al. 2024) and Qwen 3 MoE (Yang et al. 2025),
/// which adds norms over the heads of queries and keys.
/// </summary>
public sealed class Mixtral : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Mixtral(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Mixtral(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var qwen = read.Text("model_type", "mixtral") == "qwen3_moe";
        var attention = AttentionSizes.Of(read, qwen ? 4 : 8);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, qwen ? 32768 : 131072);
        var epsilon = read.Double("rms_norm_eps", qwen ? 1e-6 : 1e-5);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(qwen ? 10000 : 1e6), attention.HeadWidth);
        var slides = !qwen || read.Bool("use_sliding_window", false);
        var missing = qwen ? 4096 : 0;
        var window = slides ? read.Window(missing) : 0;
        var bias = read.Bool("attention_bias", false);
        var dense = read.Numbers("mlp_only_layers");
        var sparseStep = read.Int("decoder_sparse_step", 1);
        Tokens = parts.Tokens(read, Sizes);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var place = new AttentionPlace(layer, form, window);
            var before = parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon);
            var attend = new GroupedAttention(
                parts,
                prefix + "self_attn.",
                attention,
                place,
                bias,
                bias,
                qwen ? epsilon : null);
            var between = parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon);
            Func<Tensor, Tensor> feed = qwen && (dense.Contains(layer) || (layer + 1) % sparseStep != 0)
                ? GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation).Forward
                : Mixture(
                    parts,
                    read,
                    qwen,
                    prefix,
                    layer,
                    hidden,
                    activation).Forward;
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
            x = x + block.FeedForward(block.Between.Forward(x));
            return x;
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private static Experts Mixture(
        ModelParts parts,
        ConfigReader read,
        bool qwen,
        string prefix,
        int layer,
        int hidden,
        Activation activation)
    {
        var count = read.IntOf(["num_local_experts", "num_experts"], qwen ? 128 : 8);
        var inner = read.Int(qwen ? "moe_intermediate_size" : "intermediate_size");
        var own = prefix + (qwen ? "mlp." : "block_sparse_moe.");
        var router = parts.Linear(
            parts.Has(own + "gate.weight") ? own + "gate" : prefix + "mlp.gate",
            Role.Router,
            layer,
            count,
            hidden);
        return new Experts(
            (layer, parts.Routers),
            Routing.Softmax(router, read.Int("num_experts_per_tok", qwen ? 8 : 2), !qwen || read.Bool("norm_topk_prob", false)),
            Experts.Blocks(
                parts,
                own + "experts.",
                prefix + "mlp.experts.",
                qwen ? ("gate_proj", "up_proj", "down_proj") : ("w1", "w3", "w2"),
                count,
                layer,
                hidden,
                inner,
                activation));
    }

    private sealed record Block(Norm Before, GroupedAttention Attention, Norm Between, Func<Tensor, Tensor> FeedForward);
}
