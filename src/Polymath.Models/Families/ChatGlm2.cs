using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// ChatGLM2-6B, ChatGLM3-6B and GLM-4-9B in their published layout (GLM Team 2024): Llama's block with query, key and value in one map,
/// grouped queries, half of each head rotated, neighbouring elements paired.
/// </summary>
public sealed class ChatGlm2 : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm? norm;
    private readonly Rotary rotary;
    private readonly bool residualAfterNorm;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public ChatGlm2(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private ChatGlm2(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("hidden_size"),
            heads = read.Int("num_attention_heads"),
            layers = read.IntOf(["num_layers", "num_hidden_layers"]),
            vocabulary = read.IntOf(["padded_vocab_size", "vocab_size"]);
        int width = read.Int("kv_channels", 128),
            keyHeads = read.Bool("multi_query_attention", false) ? read.Int("multi_query_group_num", 1) : heads,
            inner = read.Int("ffn_hidden_size");
        new AttentionSizes(hidden, heads, keyHeads, width).Checked();
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            keyHeads,
            width,
            read.Int("seq_length", 2048));
        var kind = read.Bool("rmsnorm", true) ? NormKind.Rms : NormKind.Layer;
        var epsilon = read.Double("layernorm_epsilon", 1e-5);
        bool bias = read.Bool("add_bias_linear", false), inputBias = bias || read.Bool("add_qkv_bias", false);
        residualAfterNorm = read.Bool("apply_residual_connection_post_layernorm", false);
        rotary = parts.Rotary(new RopeSettings(10000 * read.Double("rope_ratio", 1)) { Partial = 0.5 }, width, interleaved: true);
        Tokens = parts.Tokens(
            read,
            "transformer.embedding.word_embeddings.weight",
            "transformer.output_layer.weight",
            vocabulary,
            hidden);
        var activation = new Activation("silu");
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"transformer.encoder.layers.{layer}.";
            blocks[layer] = new Block(
                parts.Norm(kind, prefix + "input_layernorm", hidden, epsilon),
                parts.Linear(
                    prefix + "self_attention.query_key_value",
                    Role.QueryKeyValue,
                    layer,
                    (heads + 2 * keyHeads) * width,
                    hidden,
                    inputBias),
                new AttentionPlace(layer, new AttentionForm(1 / Math.Sqrt(width)))
                {
                    Socket = parts.Attention(prefix + "self_attention", layer),
                },
                parts.Linear(
                    prefix + "self_attention.dense",
                    Role.Output,
                    layer,
                    hidden,
                    heads * width,
                    bias),
                parts.Norm(kind, prefix + "post_attention_layernorm", hidden, epsilon),
                GatedFeedForward.Fused(
                    parts,
                    prefix + "mlp.dense_h_to_4h",
                    prefix + "mlp.dense_4h_to_h",
                    layer,
                    hidden,
                    inner,
                    activation,
                    bias));
        }
        if (read.Bool("post_layer_norm", true)) norm = parts.Norm(kind, "transformer.encoder.final_layernorm", hidden, epsilon);
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.Last,
            new LabelNames(["classifier_head"], "classifier", RowBias: true));
        parts.Finish(@"transformer\.rotary_pos_emb\.inv_freq");
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
            var y = block.Before.Forward(x);
            x = (residualAfterNorm ? y : x) + Attention(
                block,
                y,
                batch,
                turns,
                cache);
            y = block.Between.Forward(x);
            x = (residualAfterNorm ? y : x) + block.FeedForward.Forward(y);
            return x;
        });
        cache?.Advance(batch);
        return norm?.Forward(x) ?? x;
    }

    private Tensor Attention(
        Block block,
        Tensor x,
        Batch batch,
        RotaryAngles turns,
        KeyValueCache? cache)
    {
        var (query, key, value) = Heads(block.QueryKeyValue.Forward(x));
        return block.Output.Forward(block.Place.Attend(
            batch,
            turns.Apply(query.contiguous()),
            turns.Apply(key.contiguous()),
            value,
            cache,
            map: of => Heads(block.QueryKeyValue.Forward(of)) is var own ? (own.Key, own.Value) : default));
    }

    private (Tensor Query, Tensor Key, Tensor Value) Heads(Tensor fused)
    {
        if (Sizes.Heads == Sizes.KeyValueHeads)
        {
            var each = fused.view(-1, Sizes.Heads, 3, Sizes.HeadWidth);             // head by head
            return (each.select(2, 0), each.select(2, 1), each.select(2, 2));
        }
        var all = fused.view(-1, Sizes.Heads + 2 * Sizes.KeyValueHeads, Sizes.HeadWidth);           // queries, keys, values
        return (
            all.narrow(1, 0, Sizes.Heads),
            all.narrow(1, Sizes.Heads, Sizes.KeyValueHeads),
            all.narrow(1, Sizes.Heads + Sizes.KeyValueHeads, Sizes.KeyValueHeads));
    }

    private sealed record Block(
        Norm Before,
        Projection QueryKeyValue,
        AttentionPlace Place,
        Projection Output,
        Norm Between,
        GatedFeedForward FeedForward);
}
