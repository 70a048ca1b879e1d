using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Falcon (Almazrouei et al. 2023), its three layouts: one key and value for all heads, groups of heads with two norms side by side, and
/// the first one with linear biases by distance and one part after the other.
/// </summary>
public sealed class Falcon : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary? rotary;
    private readonly float[] slopes;
    private readonly bool grouped, single, parallel;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Falcon(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Falcon(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("hidden_size"),
            heads = read.IntOf(["num_attention_heads", "n_head"]),
            layers = read.IntOf(["num_hidden_layers", "n_layer"]),
            vocabulary = read.Int("vocab_size"),
            inner = read.Int("ffn_hidden_size", 4 * hidden),
            width = hidden / heads;
        grouped = read.Bool("new_decoder_architecture", false);
        single = !grouped && read.Bool("multi_query", true);
        parallel = grouped || read.Bool("parallel_attn", true);
        read.Expect("apply_residual_connection_post_layernorm", false);
        var shared = single ? 1 : read.IntOf(["num_kv_heads", "n_head_kv"], heads);
        if (!grouped && !single) shared = heads;
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            shared,
            width,
            read.Int("max_position_embeddings", 2048));
        var epsilon = read.Double("layer_norm_epsilon", 1e-5);
        var activation = new Activation(read.Text("activation", "gelu"));
        var form = new AttentionForm(1 / Math.Sqrt(width));
        var linear = read.Bool("alibi", false);
        using (var alibi = new Alibi(heads)) slopes = linear ? [.. alibi.Slopes] : [];
        if (!linear) rotary = parts.Rotary(read.Rope(), width);
        var bias = read.Bool("bias", false);
        var norms = grouped ? read.Int("num_ln_in_parallel_attn", 2) : 1;
        Tokens = parts.Tokens(
            read,
            "transformer.word_embeddings.weight",
            "lm_head.weight",
            vocabulary,
            hidden,
            tied: true);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"transformer.h.{layer}.";
            Norm Scale(string name) => parts.Norm(NormKind.Layer, prefix + name, hidden, epsilon);
            blocks[layer] = new Block(
                Scale(norms == 2 ? "ln_attn" : "input_layernorm"),
                parts.Linear(
                    prefix + "self_attention.query_key_value",
                    Role.QueryKeyValue,
                    layer,
                    (heads + 2 * shared) * width,
                    hidden,
                    bias),
                new AttentionPlace(layer, form),
                parts.Attention(prefix + "self_attention", layer),
                parts.Linear(
                    prefix + "self_attention.dense",
                    Role.Output,
                    layer,
                    hidden,
                    hidden,
                    bias),
                FeedNorm(Scale, norms),
                parts.Linear(
                    prefix + "mlp.dense_h_to_4h",
                    Role.Up,
                    layer,
                    inner,
                    hidden,
                    bias),
                activation,
                parts.Linear(
                    prefix + "mlp.dense_4h_to_h",
                    Role.Down,
                    layer,
                    hidden,
                    inner,
                    bias));
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
        var turns = rotary?.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            var y = block.Before.Forward(x);
            var (query, key, value) = Heads(block.QueryKeyValue.Forward(y));
            if (turns is not null) (query, key) = (turns.Apply(query), turns.Apply(key));
            var seen = turns is null
                ? RowAttention.Of(
                    block.Place,
                    batch,
                    query,
                    key,
                    value,
                    cache,
                    new RowBias(Keys: Biases))
                : block.Place.Attend(
                    batch,
                    query,
                    key,
                    value,
                    cache);
            var mixed = block.Output.Forward(block.Socket.Add(
                seen, query, of => Heads(block.QueryKeyValue.Forward(of)) is var own ? (own.Key, own.Value) : default));
            // Two norms side by side both read x; a second norm after the first part reads what it left.
            var second = parallel ? x : x + mixed;
            var fed = block.Down.Forward(block.Activation.Forward(block.Up.Forward(block.FeedNorm?.Forward(second) ?? y)));
            return x + mixed + fed;
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private Norm? FeedNorm(Func<string, Norm> scale, int norms)
    {
        if (norms == 2) return scale("ln_mlp");
        return parallel ? null : scale("post_attention_layernorm");
    }

    private (Tensor Query, Tensor Key, Tensor Value) Heads(Tensor fused)
    {
        int heads = Sizes.Heads, shared = Sizes.KeyValueHeads, width = Sizes.HeadWidth, own = heads / shared;
        if (single)
        {
            // All queries, then the key, then the value.
            var all = fused.view(-1, heads + 2, width);
            return (all.narrow(1, 0, heads).contiguous(), all.narrow(1, heads, 1).contiguous(), all.narrow(1, heads + 1, 1));
        }
        // Each group has its queries, then its key, then its value.
        var groups = fused.view(-1, shared, own + 2, width);
        return (groups.narrow(2, 0, own).reshape(-1, heads, width), groups.select(2, own).contiguous(), groups.select(2, own + 1));
    }

    // A penalty by the key's place, rounded to bfloat16 as the model was trained, and scaled like the scores.
    private Tensor Biases(int count)
    {
        using var steps = tensor(slopes, device: Device).to(ScalarType.BFloat16).unsqueeze(1);
        using var places = arange(count, dtype: ScalarType.Float32, device: Device).to(ScalarType.BFloat16);
        return (steps * places).to(ScalarType.Float32) / Math.Sqrt(Sizes.HeadWidth);
    }

    private sealed record Block(
        Norm Before,
        Projection QueryKeyValue,
        AttentionPlace Place,
        AttentionSocket Socket,
        Projection Output,
        Norm? FeedNorm,
        Projection Up,
        Activation Activation,
        Projection Down);
}
