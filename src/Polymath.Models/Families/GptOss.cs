using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// gpt-oss (OpenAI 2025): a learned logit in the softmax of every head, every other layer with a sliding window, and a mixture of experts
/// with clipped, biased blocks.
/// </summary>
public sealed class GptOss : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public GptOss(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private GptOss(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 8, 64);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 131072);
        var epsilon = read.Double("rms_norm_eps", 1e-5);
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(150000), attention.HeadWidth);
        read.Expect("hidden_act", "silu");
        var bias = read.Bool("attention_bias", true);
        var windows = read.Windows(layers, layer => layer % 2 == 0, 128);
        var limit = read.Double("swiglu_limit", 7);
        int experts = read.Int("num_local_experts", 128), chosen = read.IntOf(["num_experts_per_tok", "experts_per_token"], 4);
        Tokens = parts.Tokens(read, Sizes);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var traits = new AttentionTraits
            {
                InputBias = bias, OutputBias = bias, Sinks = parts.Weight(prefix + "self_attn.sinks", attention.Heads),
            };
            var own = prefix + "mlp.experts.";
            var stack = ExpertStack.Of(
                parts,
                own,
                layer,
                (experts, hidden, inner),
                both => Clipped(both, limit),
                new StackForm(IsTransposed: true, HasBias: true));
            var router = parts.Linear(
                prefix + "mlp.router",
                Role.Router,
                layer,
                experts,
                hidden,
                bias: true);
            blocks[layer] = new Block(
                parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form, windows[layer]),
                    traits),
                parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon),
                new Experts(
                    (layer, parts.Routers),
                    Routing.SoftmaxOfChosen(router, chosen),
                    stack));
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
            return x + block.Mixture.Forward(block.Between.Forward(x));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    // Gate and up interleaved, both clipped: (up + 1)·gate·σ(1.702·gate).
    private static Tensor Clipped(Tensor both, double limit)
    {
        var pairs = both.view(both.size(0), -1, 2);
        Tensor gate = pairs.select(2, 0).clamp(max: limit), up = pairs.select(2, 1).clamp(-limit, limit);
        return (up + 1) * gate * (gate * 1.702).sigmoid();
    }

    private sealed record Block(Norm Before, GroupedAttention Attention, Norm Between, Experts Mixture);
}
