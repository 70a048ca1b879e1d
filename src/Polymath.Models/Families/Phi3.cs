using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>Phi-3 (Abdin et al. 2024): Llama's block with query, key and value in one map, and gate and up in another.</summary>
public sealed class Phi3 : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Phi3(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Phi3(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 4096);
        var epsilon = read.Double("rms_norm_eps", 1e-5);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(), attention.HeadWidth);
        var window = read.Window();
        Tokens = parts.Tokens(read, Sizes);
        int width = attention.HeadWidth, fused = (attention.Heads + 2 * attention.KeyValueHeads) * width;
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            blocks[layer] = new Block(
                parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon),
                parts.Linear(
                    prefix + "self_attn.qkv_proj",
                    Role.QueryKeyValue,
                    layer,
                    fused,
                    hidden),
                new AttentionPlace(layer, form, window) { Socket = parts.Attention(prefix + "self_attn", layer) },
                parts.Linear(
                    prefix + "self_attn.o_proj",
                    Role.Output,
                    layer,
                    hidden,
                    attention.Heads * width),
                parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon),
                GatedFeedForward.Fused(
                    parts,
                    prefix + "mlp.gate_up_proj",
                    prefix + "mlp.down_proj",
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
    public override IReadOnlyList<string> DefaultTargets { get; } = ["qkv_proj"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> MadeOrder { get; } = ["o_proj", "qkv_proj"];

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            x = x + Attention(
                block,
                block.Before.Forward(x),
                batch,
                turns,
                cache);
            x = x + block.FeedForward.Forward(block.Between.Forward(x));
            return x;
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private Tensor Attention(
        Block block,
        Tensor x,
        Batch batch,
        RotaryAngles turns,
        KeyValueCache? cache)
    {
        (Tensor Query, Tensor Key, Tensor Value) Heads(Tensor of)
        {
            // queries, keys, values
            var heads = block.QueryKeyValue.Forward(of).view(-1, Sizes.Heads + 2 * Sizes.KeyValueHeads, Sizes.HeadWidth);
            return (
                heads.narrow(1, 0, Sizes.Heads).contiguous(),
                heads.narrow(1, Sizes.Heads, Sizes.KeyValueHeads).contiguous(),
                heads.narrow(1, Sizes.Heads + Sizes.KeyValueHeads, Sizes.KeyValueHeads));
        }
        var (query, key, value) = Heads(x);
        return block.Output.Forward(block.Place.Attend(
            batch,
            turns.Apply(query),
            turns.Apply(key),
            value,
            cache,
            map: of => Heads(of) is var own ? (own.Key, own.Value) : default));
    }

    private sealed record Block(
        Norm Before,
        Projection QueryKeyValue,
        AttentionPlace Place,
        Projection Output,
        Norm Between,
        GatedFeedForward FeedForward);
}
