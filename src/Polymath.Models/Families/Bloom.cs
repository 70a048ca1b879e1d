using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// BLOOM (Le Scao et al. 2022): ALiBi (Press et al. 2022), a penalty by distance, instead of positions; a norm over the token vectors.
/// </summary>
public sealed class Bloom : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm first, norm;
    private readonly Alibi alibi;
    private readonly bool residualAfterNorm;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Bloom(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Bloom(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.IntOf(["hidden_size", "n_embed"]),
            heads = read.IntOf(["n_head", "num_attention_heads"]),
            layers = read.IntOf(["n_layer", "num_hidden_layers"]),
            vocabulary = read.Int("vocab_size");
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            hidden / heads,
            read.Int("seq_length", 2048));
        var epsilon = read.Double("layer_norm_epsilon", 1e-5);
        residualAfterNorm = read.Bool("apply_residual_connection_post_layernorm", false);
        alibi = new Alibi(heads);
        Tokens = parts.Tokens(
            read,
            "transformer.word_embeddings.weight",
            "lm_head.weight",
            vocabulary,
            hidden,
            tied: true);
        first = parts.Norm(NormKind.Layer, "transformer.word_embeddings_layernorm", hidden, epsilon);
        var activation = new Activation("gelu_new");
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"transformer.h.{layer}.";
            blocks[layer] = new Block(
                parts.Norm(NormKind.Layer, prefix + "input_layernorm", hidden, epsilon),
                parts.Linear(
                    prefix + "self_attention.query_key_value",
                    Role.QueryKeyValue,
                    layer,
                    3 * hidden,
                    hidden,
                    bias: true),
                new AttentionPlace(layer, new AttentionForm(1 / Math.Sqrt(Sizes.HeadWidth)))
                {
                    Socket = parts.Attention(prefix + "self_attention", layer),
                },
                parts.Linear(
                    prefix + "self_attention.dense",
                    Role.Output,
                    layer,
                    hidden,
                    hidden,
                    bias: true),
                parts.Norm(NormKind.Layer, prefix + "post_attention_layernorm", hidden, epsilon),
                parts.Linear(
                    prefix + "mlp.dense_h_to_4h",
                    Role.Up,
                    layer,
                    4 * hidden,
                    hidden,
                    bias: true),
                activation,
                parts.Linear(
                    prefix + "mlp.dense_4h_to_h",
                    Role.Down,
                    layer,
                    hidden,
                    4 * hidden,
                    bias: true));
        }
        norm = parts.Norm(NormKind.Layer, "transformer.ln_f", hidden, epsilon);
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.Last,
            new LabelNames(["score"], "classifier"));
        parts.Finish();
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["query_key_value"];

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var bias = alibi.For(batch.Positions.Max() + 1, Device);
        var x = first.Forward(Tokens.Embed(batch.Ids));                             // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            var y = block.Before.Forward(x);
            Tensor Heads(Tensor of) => block.QueryKeyValue.Forward(of).view(-1, Sizes.Heads, 3, Sizes.HeadWidth);
            var heads = Heads(y);
            x = (residualAfterNorm ? y : x) + block.Output.Forward(block.Place.Attend(
                batch,
                heads.select(2, 0),
                heads.select(2, 1),
                heads.select(2, 2),
                cache,
                bias: bias,
                map: of => Heads(of) is var own ? (own.select(2, 1), own.select(2, 2)) : default));
            y = block.Between.Forward(x);
            x = (residualAfterNorm ? y : x) + block.Down.Forward(block.Activation.Forward(block.Up.Forward(y)));
            return x;
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        alibi.Dispose();
    }

    private sealed record Block(
        Norm Before,
        Projection QueryKeyValue,
        AttentionPlace Place,
        Projection Output,
        Norm Between,
        Projection Up,
        Activation Activation,
        Projection Down);
}
