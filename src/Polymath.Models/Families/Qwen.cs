using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// The first Qwen (Bai et al. 2023): Llama's block under names of its own; query, key and value in one map with a bias. Beyond the first
/// context the rotary base grows, and queries grow with the logarithm of their position.
/// </summary>
public sealed class Qwen : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly bool grows;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Qwen(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Qwen(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("hidden_size"),
            heads = read.Int("num_attention_heads"),
            // The configuration counts the gate's rows and the up map's together.
            inner = read.Int("intermediate_size") / 2,
            vocabulary = read.Int("vocab_size"),
            layers = read.Int("num_hidden_layers"),
            width = read.Int("kv_channels", hidden / heads),
            context = read.Int("seq_length", 2048);
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            width,
            read.Int("max_position_embeddings", 8192));
        var epsilon = read.Double("layer_norm_epsilon", 1e-6);
        var activation = new Activation("silu");
        read.Expect("scale_attn_weights", true);
        var form = new AttentionForm(1 / Math.Sqrt(width));
        var rope = new RopeSettings(read.Double("rotary_emb_base", 10000))
        {
            Partial = read.Double("rotary_pct", 1), OriginalContext = context,
        };
        rotary = parts.Rotary(read.Bool("use_dynamic_ntk", true) ? rope with { Type = "qwen" } : rope, width);
        grows = read.Bool("use_logn_attn", true);
        var bias = !read.Bool("no_bias", true);
        Tokens = parts.Tokens(
            read,
            "transformer.wte.weight",
            "lm_head.weight",
            vocabulary,
            hidden);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"transformer.h.{layer}.";
            blocks[layer] = new Block(
                parts.Norm(NormKind.Rms, prefix + "ln_1", hidden, epsilon),
                parts.Linear(
                    prefix + "attn.c_attn",
                    Role.QueryKeyValue,
                    layer,
                    3 * heads * width,
                    hidden,
                    bias: true),
                new AttentionPlace(layer, form) { Socket = parts.Attention(prefix + "attn", layer) },
                parts.Linear(
                    prefix + "attn.c_proj",
                    Role.Output,
                    layer,
                    hidden,
                    heads * width,
                    bias),
                parts.Norm(NormKind.Rms, prefix + "ln_2", hidden, epsilon),
                GatedFeedForward.Of(
                    parts.Linear(
                        prefix + "mlp.w2",
                        Role.Gate,
                        layer,
                        inner,
                        hidden,
                        bias),
                    parts.Linear(
                        prefix + "mlp.w1",
                        Role.Up,
                        layer,
                        inner,
                        hidden,
                        bias),
                    parts.Linear(
                        prefix + "mlp.c_proj",
                        Role.Down,
                        layer,
                        hidden,
                        inner,
                        bias),
                    activation));
        }
        norm = parts.Norm(NormKind.Rms, "transformer.ln_f", hidden, epsilon);
        Labels = LabelHead.Attach(read, parts, hidden, LabelPlace.Last);
        parts.Finish();
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["c_attn"];

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var factors = Factors(batch);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            Tensor Heads(Tensor of) => block.QueryKeyValue.Forward(of).view(-1, 3, Sizes.Heads, Sizes.HeadWidth);
            var heads = Heads(block.Before.Forward(x));
            Tensor query = turns.Apply(heads.select(1, 0).contiguous()), key = turns.Apply(heads.select(1, 1).contiguous());
            if (factors is not null) query = query * factors;
            x = x + block.Output.Forward(block.Place.Attend(
                batch,
                query,
                key,
                heads.select(1, 2),
                cache,
                map: of => Heads(of) is var own ? (own.select(1, 1), own.select(1, 2)) : default));
            return x + block.FeedForward.Forward(block.Between.Forward(x));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    // log(p) to the base of the first context, for positions p (from 1) beyond it; never in training.
    private Tensor? Factors(Batch batch)
    {
        var context = rotary.Settings.OriginalContext;
        if (!grows || is_grad_enabled() || batch.Positions.Max() < context) return null;
        var factors = Array.ConvertAll(batch.Positions, place => (float)Math.Max(1, Math.Log(place + 1) / Math.Log(context)));
        return tensor(factors, device: Device).view(-1, 1, 1);
    }

    private sealed record Block(
        Norm Before,
        Projection QueryKeyValue,
        AttentionPlace Place,
        Projection Output,
        Norm Between,
        GatedFeedForward FeedForward);
}
