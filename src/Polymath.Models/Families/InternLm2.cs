using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>InternLM 2 and 2.5 (Cai et al. 2024): Llama's block; query, key and value in one map, group by group.</summary>
public sealed class InternLm2 : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public InternLm2(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private InternLm2(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            vocabulary = read.Int("vocab_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 2048);
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        var rope = read.Rope();
        rotary = parts.Rotary(rope, attention.HeadWidth);
        if (rope.Type == "dynamic") Sizes = Sizes with { ContextLength = (int)(Sizes.ContextLength * rope.Factor) };
        var bias = read.Bool("bias", false);
        Tokens = parts.Tokens(
            read,
            "model.tok_embeddings.weight",
            "output.weight",
            vocabulary,
            hidden);
        int width = attention.HeadWidth, fused = (attention.Heads + 2 * attention.KeyValueHeads) * width;
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            blocks[layer] = new Block(
                parts.Norm(NormKind.Rms, prefix + "attention_norm", hidden, epsilon),
                parts.Linear(
                    prefix + "attention.wqkv",
                    Role.QueryKeyValue,
                    layer,
                    fused,
                    hidden,
                    bias),
                new AttentionPlace(layer, form) { Socket = parts.Attention(prefix + "attention", layer) },
                parts.Linear(
                    prefix + "attention.wo",
                    Role.Output,
                    layer,
                    hidden,
                    attention.Heads * width,
                    bias),
                parts.Norm(NormKind.Rms, prefix + "ffn_norm", hidden, epsilon),
                GatedFeedForward.Of(
                    parts.Linear(
                        prefix + "feed_forward.w1",
                        Role.Gate,
                        layer,
                        inner,
                        hidden),
                    parts.Linear(
                        prefix + "feed_forward.w3",
                        Role.Up,
                        layer,
                        inner,
                        hidden),
                    parts.Linear(
                        prefix + "feed_forward.w2",
                        Role.Down,
                        layer,
                        hidden,
                        inner),
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
    public override IReadOnlyList<string> DefaultTargets { get; } = ["wqkv"];

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            // Each group has its query heads, then its key, then its value.
            int groups = Sizes.KeyValueHeads, own = Sizes.Heads / groups;
            Tensor Heads(Tensor of) => block.QueryKeyValue.Forward(of).view(-1, groups, own + 2, Sizes.HeadWidth);
            var heads = Heads(block.Before.Forward(x));
            var query = heads.narrow(2, 0, own).reshape(-1, Sizes.Heads, Sizes.HeadWidth);
            var key = heads.select(2, own).contiguous();
            x = x + block.Output.Forward(block.Place.Attend(
                batch,
                turns.Apply(query),
                turns.Apply(key),
                heads.select(2, own + 1),
                cache,
                map: of => Heads(of) is var made ? (made.select(2, own), made.select(2, own + 1)) : default));
            return x + block.FeedForward.Forward(block.Between.Forward(x));
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
        GatedFeedForward FeedForward);
}
