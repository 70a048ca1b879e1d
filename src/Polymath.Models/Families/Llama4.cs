using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Llama 4 (Meta 2025), the text model: most layers see chunks of a row and rotate neighbouring elements, the others see the whole row
/// without positions; a shared expert, and chosen ones whose input is weighted.
/// </summary>
public sealed class Llama4 : LanguageModel
{
    private const string Chunked = "chunked_attention";
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly double growth, floor;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Llama4(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Llama4(JsonObject configuration, ModelParts parts)
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
        rotary = parts.Rotary(read.Rope(5e5), attention.HeadWidth, interleaved: true);
        var bias = read.Bool("attention_bias", false);
        growth = read.Switch("attn_temperature_tuning", true) ? read.Double("attn_scale", 0.1) : 0;
        floor = read.Double("floor_scale", 8192);
        var chunk = read.Maybe("attention_chunk_size") ?? (read.Has("attention_chunk_size") ? 0 : 8192);
        var headNorms = read.Bool("use_qk_norm", true);
        var turned = read.Numbers("no_rope_layers");
        var interval = read.Int("no_rope_layer_interval", 4);
        if (turned.Count > 0 && turned.Count < layers)
            throw ConfigReader.Fault("no_rope_layers", $"names {turned.Count} layers of {layers}");
        bool Turns(int layer) => turned.Count > 0 ? turned[layer] != 0 : (layer + 1) % interval != 0;
        var types = read.LayerTypes(layers, layer => Turns(layer) ? Chunked : "full_attention", Chunked, "full_attention");
        int step = read.Int("interleave_moe_layer_step", 1), wide = read.Int("intermediate_size_mlp", 16384);
        var mixed = read.Has("moe_layers") && read.Numbers("moe_layers") is { } told ? told
            : [.. Enumerable.Range(0, layers).Where(layer => (layer + 1) % step == 0).Select(layer => (double)layer)];
        Tokens = parts.Tokens(read, Sizes);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var own = new Norm(NormKind.Rms, null, null, epsilon);
            var traits = new AttentionTraits
            {
                InputBias = bias,
                OutputBias = bias,
                QueryNorm = headNorms && Turns(layer) ? own.ForwardHeads : null,
                KeyNorm = headNorms && Turns(layer) ? own.ForwardHeads : null,
                NormsAfterTurn = true,
            };
            var place = new AttentionPlace(layer, form) { Rotates = Turns(layer), Chunk = types[layer] == Chunked ? chunk : 0 };
            blocks[layer] = new Block(
                parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    place,
                    traits),
                Turns(layer),
                parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon),
                mixed.Contains(layer)
                    ? Mixture(
                        parts,
                        read,
                        prefix + "feed_forward.",
                        layer,
                        hidden,
                        inner,
                        activation)
                    : GatedFeedForward.Apart(
                        parts,
                        prefix + "feed_forward.",
                        layer,
                        hidden,
                        wide,
                        activation).Forward);
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
        // Layers without positions sharpen the queries of later tokens.
        var factors = growth == 0 ? null : tensor(Array.ConvertAll(batch.Positions, Factor), device: Device).view(-1, 1, 1);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            x = x + block.Attention.Forward(
                block.Before.Forward(x),
                batch,
                turns,
                cache,
                block.Turns ? null : factors);
            return x + block.FeedForward(block.Between.Forward(x));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private float Factor(int place) => (float)(1 + growth * Math.Log(1 + Math.Floor((place + 1) / floor)));

    private static Func<Tensor, Tensor> Mixture(
        ModelParts parts,
        ConfigReader read,
        string prefix,
        int layer,
        int hidden,
        int inner,
        Activation activation)
    {
        var count = read.Int("num_local_experts", 16);
        var stack = ExpertStack.Of(
            parts,
            prefix + "experts.",
            layer,
            (count, hidden, inner),
            ExpertStack.Halves(activation),
            new StackForm(IsTransposed: true, IsSwapped: true));
        var router = parts.Linear(
            prefix + "router",
            Role.Router,
            layer,
            count,
            hidden);
        var experts = new Experts(
            (layer, parts.Routers),
            Routing.Sigmoid(router, read.Int("num_experts_per_tok", 1)),
            stack) { WeighsInput = true };
        var shared = GatedFeedForward.Apart(
            parts,
            prefix + "shared_expert.",
            layer,
            hidden,
            inner,
            activation);
        return x => shared.Forward(x) + experts.Forward(x);
    }

    private sealed record Block(
        Norm Before,
        GroupedAttention Attention,
        bool Turns,
        Norm Between,
        Func<Tensor, Tensor> FeedForward);
}
