using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// GPT-NeoX (Black et al. 2022): part of each head is rotated; attention and feed-forward block read the same input; query, key and value
/// are stored together head by head.
/// </summary>
public sealed class GptNeoX : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly bool parallel;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public GptNeoX(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private GptNeoX(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("hidden_size"),
            heads = read.Int("num_attention_heads"),
            layers = read.Int("num_hidden_layers"),
            vocabulary = read.Int("vocab_size"),
            inner = read.Int("intermediate_size");
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            hidden / heads,
            read.Int("max_position_embeddings", 2048));
        var epsilon = read.Double("layer_norm_eps", 1e-5);
        var activation = new Activation(read.Text("hidden_act", "gelu"));
        parallel = read.Bool("use_parallel_residual", true);
        var bias = read.Bool("attention_bias", true);
        rotary = parts.Rotary(read.Rope(read.Double("rotary_emb_base", 10000), read.Double("rotary_pct", 0.25)), Sizes.HeadWidth);
        Tokens = parts.Tokens(
            read,
            "gpt_neox.embed_in.weight",
            "embed_out.weight",
            vocabulary,
            hidden);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"gpt_neox.layers.{layer}.";
            blocks[layer] = new Block(
                parts.Norm(NormKind.Layer, prefix + "input_layernorm", hidden, epsilon),
                parts.Linear(
                    prefix + "attention.query_key_value",
                    Role.QueryKeyValue,
                    layer,
                    3 * hidden,
                    hidden,
                    bias),
                new AttentionPlace(layer, new AttentionForm(1 / Math.Sqrt(Sizes.HeadWidth)))
                {
                    Socket = parts.Attention(prefix + "attention", layer),
                },
                parts.Linear(
                    prefix + "attention.dense",
                    Role.Output,
                    layer,
                    hidden,
                    hidden,
                    bias),
                parts.Norm(NormKind.Layer, prefix + "post_attention_layernorm", hidden, epsilon),
                parts.Linear(
                    prefix + "mlp.dense_h_to_4h",
                    Role.Up,
                    layer,
                    inner,
                    hidden,
                    bias: true),
                activation,
                parts.Linear(
                    prefix + "mlp.dense_4h_to_h",
                    Role.Down,
                    layer,
                    hidden,
                    inner,
                    bias: true));
        }
        norm = parts.Norm(NormKind.Layer, "gpt_neox.final_layer_norm", hidden, epsilon);
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.Last,
            new LabelNames(["score"], "classifier"));
        parts.Finish(@".*\.attention\.(masked_)?bias");
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
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            Tensor Heads(Tensor of) => block.QueryKeyValue.Forward(of).view(-1, Sizes.Heads, 3, Sizes.HeadWidth);
            var heads = Heads(block.Before.Forward(x));
            Tensor query = turns.Apply(heads.select(2, 0).contiguous()), key = turns.Apply(heads.select(2, 1).contiguous());
            var mixed = block.Output.Forward(block.Place.Attend(
                batch,
                query,
                key,
                heads.select(2, 2),
                cache,
                map: of => Heads(of) is var own ? (own.select(2, 1), own.select(2, 2)) : default));
            Tensor Feed(Tensor of) => block.Down.Forward(block.Activation.Forward(block.Up.Forward(block.Between.Forward(of))));
            // When parallel, both parts read x; otherwise the second reads x plus the first one's output.
            x = parallel ? x + mixed + Feed(x) : x + mixed + Feed(x + mixed);
            return x;
        });
        cache?.Advance(batch);
        return norm.Forward(x);
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
