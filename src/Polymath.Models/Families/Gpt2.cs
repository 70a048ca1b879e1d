using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// GPT-2 (Radford et al. 2019): learned positions, layer norms before each part, query, key and value in one map, maps stored as [in, out].
/// </summary>
public sealed class Gpt2 : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Weight positions;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Gpt2(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Gpt2(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("n_embd"),
            heads = read.Int("n_head"),
            layers = read.Int("n_layer"),
            vocabulary = read.Int("vocab_size"),
            context = read.IntOf(["n_positions", "n_ctx"], 1024);
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            hidden / heads,
            context);
        var inner = read.Int("n_inner", 4 * hidden);
        var epsilon = read.Double("layer_norm_epsilon", 1e-5);
        var activation = new Activation(read.Text("activation_function", "gelu_new"));
        bool scaled = read.Bool("scale_attn_weights", true), byLayer = read.Bool("scale_attn_by_inverse_layer_idx", false);
        Tokens = parts.Tokens(
            read,
            "transformer.wte.weight",
            "lm_head.weight",
            vocabulary,
            hidden,
            tied: true);
        positions = parts.Weight("transformer.wpe.weight", context, hidden);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"transformer.h.{layer}.";
            var scale = (scaled ? 1 / Math.Sqrt(Sizes.HeadWidth) : 1) / (byLayer ? layer + 1 : 1);
            blocks[layer] = new Block(
                parts.Norm(NormKind.Layer, prefix + "ln_1", hidden, epsilon),
                parts.Linear(
                    prefix + "attn.c_attn",
                    Role.QueryKeyValue,
                    layer,
                    3 * hidden,
                    hidden,
                    bias: true,
                    transposed: true),
                new AttentionPlace(layer, new AttentionForm(scale)),
                parts.Linear(
                    prefix + "attn.c_proj",
                    Role.Output,
                    layer,
                    hidden,
                    hidden,
                    bias: true,
                    transposed: true),
                parts.Norm(NormKind.Layer, prefix + "ln_2", hidden, epsilon),
                parts.Linear(
                    prefix + "mlp.c_fc",
                    Role.Up,
                    layer,
                    inner,
                    hidden,
                    bias: true,
                    transposed: true),
                activation,
                parts.Linear(
                    prefix + "mlp.c_proj",
                    Role.Down,
                    layer,
                    hidden,
                    inner,
                    bias: true,
                    transposed: true),
                parts.Attention(prefix + "attn", layer));
        }
        norm = parts.Norm(NormKind.Layer, "transformer.ln_f", hidden, epsilon);
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.Last,
            new LabelNames(["score"], "classifier"));
        // Published files hold the causal mask, too.
        parts.Finish(@"(transformer\.)?h\.\d+\.attn\.(masked_)?bias");
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
        using var places = tensor(Array.ConvertAll(batch.Positions, place => (long)place), device: Device);
        var x = Tokens.Embed(batch.Ids) + positions.Value.index_select(0, places);  // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            Tensor Heads(Tensor of) => block.QueryKeyValue.Forward(of).view(-1, 3, Sizes.Heads, Sizes.HeadWidth);
            var heads = Heads(block.Before.Forward(x));
            var mixed = block.Output.Forward(block.Place.Attend(
                batch,
                heads.select(1, 0),
                heads.select(1, 1),
                heads.select(1, 2),
                cache));
            // In this family, PEFT adds the additional attention after the output map.
            x = x + block.Socket.Add(
                mixed, heads.select(1, 0), vectors => Heads(vectors) is var made ? (made.select(1, 1), made.select(1, 2)) : default);
            x = x + block.Down.Forward(block.Activation.Forward(block.Up.Forward(block.Between.Forward(x))));
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
        Projection Down,
        AttentionSocket Socket);
}
