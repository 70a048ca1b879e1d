using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Baichuan (Yang et al. 2023): Llama's block with query, key and value in one map. The models of 13 billion have linear biases instead
/// of rotary positions; the second generation normalises the rows of its head.
/// </summary>
public sealed class Baichuan : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary? rotary;
    private readonly Alibi? alibi;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Baichuan(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Baichuan(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        // The configuration does not name the positions: models of 7 billion have max_position_embeddings, those of 13 model_max_length.
        var turned = read.Has("max_position_embeddings");
        var attention = AttentionSizes.Of(read);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            vocabulary = read.Int("vocab_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            attention.Heads,
            attention.Heads,
            attention.HeadWidth,
            read.IntOf(["max_position_embeddings", "model_max_length"], 4096));
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        if (turned) rotary = parts.Rotary(read.Rope(), attention.HeadWidth);
        else alibi = new Alibi(attention.Heads);
        var table = parts.Tokens(read, Sizes);
        Tokens = new TokenTable(table.Embedding, table.Head, table.HeadMap.Name)
        {
            NormsHead = vocabulary == 125696 || read.Has("z_loss_weight"),
        };
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            blocks[layer] = new Block(
                parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon),
                parts.Linear(
                    prefix + "self_attn.W_pack",
                    Role.QueryKeyValue,
                    layer,
                    3 * hidden,
                    hidden),
                new AttentionPlace(layer, form) { Socket = parts.Attention(prefix + "self_attn", layer) },
                parts.Linear(
                    prefix + "self_attn.o_proj",
                    Role.Output,
                    layer,
                    hidden,
                    hidden),
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
    public override IReadOnlyList<string> DefaultTargets { get; } = ["W_pack"];

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary?.At(batch.Positions, Device);
        var bias = alibi?.For(batch.Positions.Max() + 1, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            Tensor Heads(Tensor of) => block.QueryKeyValue.Forward(of).view(-1, 3, Sizes.Heads, Sizes.HeadWidth);
            var heads = Heads(block.Before.Forward(x));
            Tensor Turned(Tensor of) => turns?.Apply(of.contiguous()) ?? of;
            x = x + block.Output.Forward(block.Place.Attend(
                batch,
                Turned(heads.select(1, 0)),
                Turned(heads.select(1, 1)),
                heads.select(1, 2),
                cache,
                bias: bias,
                map: of => Heads(of) is var own ? (own.select(1, 1), own.select(1, 2)) : default));
            return x + block.FeedForward.Forward(block.Between.Forward(x));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        alibi?.Dispose();
    }

    private sealed record Block(
        Norm Before,
        Projection QueryKeyValue,
        AttentionPlace Place,
        Projection Output,
        Norm Between,
        GatedFeedForward FeedForward);
}
