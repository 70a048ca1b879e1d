using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// StarCoder 2 (Lozhkov et al. 2024): norms by mean and variance, grouped queries, rotary positions, a plain feed-forward part, a sliding
/// window.
/// </summary>
public sealed class StarCoder2 : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public StarCoder2(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private StarCoder2(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 2);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 4096);
        var epsilon = read.Double("norm_epsilon", 1e-5);
        var activation = new Activation(read.Text("hidden_act", "gelu_pytorch_tanh"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(), attention.HeadWidth);
        var bias = read.Bool("use_bias", true);
        var window = read.Window();
        Tokens = parts.Tokens(read, Sizes, tied: true);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            blocks[layer] = new Block(
                parts.Norm(NormKind.Layer, prefix + "input_layernorm", hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form, window),
                    bias,
                    bias),
                parts.Norm(NormKind.Layer, prefix + "post_attention_layernorm", hidden, epsilon),
                parts.Linear(
                    prefix + "mlp.c_fc",
                    Role.Up,
                    layer,
                    inner,
                    hidden,
                    bias),
                activation,
                parts.Linear(
                    prefix + "mlp.c_proj",
                    Role.Down,
                    layer,
                    hidden,
                    inner,
                    bias));
        }
        norm = parts.Norm(NormKind.Layer, "model.norm", hidden, epsilon);
        Labels = LabelHead.Attach(read, parts, hidden, LabelPlace.Last);
        parts.Finish();
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["q_proj", "v_proj"];

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            x = x + block.Attention.Forward(block.Before.Forward(x), batch, turns, cache);
            return x + block.Down.Forward(block.Activation.Forward(block.Up.Forward(block.Between.Forward(x))));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed record Block(
        Norm Before,
        GroupedAttention Attention,
        Norm Between,
        Projection Up,
        Activation Activation,
        Projection Down);
}
