using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// ModernBERT (Warner et al. 2024): an encoder with norms before each part, rotary positions, gated feed-forward parts, and layers that
/// see only near tokens.
/// </summary>
public sealed class ModernBert : LanguageModel
{
    private const string Full = "full_attention", Sliding = "sliding_attention";
    private readonly Block[] blocks;
    private readonly Norm first, norm, headNorm;
    private readonly Rotary far, near;
    private readonly Projection headMap;
    private readonly Activation headActivation;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public ModernBert(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private ModernBert(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("hidden_size"),
            heads = read.Int("num_attention_heads"),
            layers = read.Int("num_hidden_layers"),
            vocabulary = read.Int("vocab_size"),
            inner = read.Int("intermediate_size"),
            context = read.Int("max_position_embeddings", 8192);
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            hidden / heads,
            context);
        var epsilon = read.Double("norm_eps", 1e-5);
        bool bias = read.Bool("attention_bias", false), normBias = read.Bool("norm_bias", false), innerBias = read.Bool("mlp_bias", false);
        var every = read.Int("global_attn_every_n_layers", 3);
        var types = read.LayerTypes(layers, layer => layer % every == 0 ? Full : Sliding, Full, Sliding);
        var distance = read.Int("local_attention", 128) / 2;
        RopeSettings Turns(
            string kind,
            string older,
            double theta) => read.HasRopeKinds ? read.RopeOf(kind, theta) : new RopeSettings(read.Double(older, theta));
        far = parts.Rotary(Turns(Full, "global_rope_theta", 160000), hidden / heads);
        near = parts.Rotary(Turns(Sliding, "local_rope_theta", 10000), hidden / heads);
        Norm Scale(string name) => parts.Norm(
            NormKind.Layer,
            name,
            hidden,
            epsilon,
            normBias);
        var table = parts.Tokens(
            read,
            "model.embeddings.tok_embeddings.weight",
            "decoder.weight",
            vocabulary,
            hidden,
            tied: true);
        first = Scale("model.embeddings.norm");
        var activation = new Activation(read.Text("hidden_activation", "gelu"));
        var form = new AttentionForm(1 / Math.Sqrt(hidden / heads));
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            blocks[layer] = new Block(
                layer == 0 ? null : Scale(prefix + "attn_norm"),
                parts.Linear(
                    prefix + "attn.Wqkv",
                    Role.QueryKeyValue,
                    layer,
                    3 * hidden,
                    hidden,
                    bias),
                new AttentionPlace(layer, form),
                types[layer] == Sliding ? distance : 0,
                parts.Linear(
                    prefix + "attn.Wo",
                    Role.Output,
                    layer,
                    hidden,
                    hidden,
                    bias),
                Scale(prefix + "mlp_norm"),
                GatedFeedForward.Fused(
                    parts,
                    prefix + "mlp.Wi",
                    prefix + "mlp.Wo",
                    layer,
                    hidden,
                    inner,
                    activation,
                    innerBias));
        }
        norm = Scale("model.final_norm");
        headActivation = new Activation(read.Text("classifier_activation", "gelu"));
        headMap = parts.Linear(
            "head.dense",
            Role.Head,
            -1,
            hidden,
            hidden,
            read.Bool("classifier_bias", false));
        headNorm = Scale("head.norm");
        var biased = LabelHead.TaskOf(read) is null && read.Bool("decoder_bias", true);
        Tokens = biased ? new TokenTable(
            table.Embedding,
            table.Head,
            "decoder") { HeadBias = parts.Bias("decoder.bias", vocabulary) } : table;
        var names = new LabelNames(["classifier"], "classifier", RowBias: true);
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.First,
            names,
            "head",
            Head);
        parts.Finish(@"decoder\..*");
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override Reading Reading => Reading.Encoder;

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["Wqkv"];

    /// <inheritdoc/>
    public override Tensor Readout(Tensor hidden) => Head(hidden);

    private Tensor Head(Tensor x) => headNorm.Forward(headActivation.Forward(headMap.Forward(x)));

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        RotaryAngles wide = far.At(batch.Positions, Device), local = near.At(batch.Positions, Device);
        var x = first.Forward(Tokens.Embed(batch.Ids));                             // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            var turns = block.Distance > 0 ? local : wide;
            var heads = block.QueryKeyValue.Forward(block.Before?.Forward(x) ?? x).view(-1, 3, Sizes.Heads, Sizes.HeadWidth);
            Tensor query = turns.Apply(heads.select(1, 0).contiguous()), key = turns.Apply(heads.select(1, 1).contiguous());
            var reach = block.Distance > 0 ? batch.Around(block.Distance) : batch.Whole;
            x = x + block.Output.Forward(block.Place.Attend(
                batch,
                query,
                key,
                heads.select(1, 2),
                null,
                reach));
            return x + block.FeedForward.Forward(block.Between.Forward(x));
        });
        return norm.Forward(x);
    }

    private sealed record Block(
        Norm? Before,
        Projection QueryKeyValue,
        AttentionPlace Place,
        int Distance,
        Projection Output,
        Norm Between,
        GatedFeedForward FeedForward);
}
