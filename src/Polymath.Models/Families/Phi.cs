using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Phi 1, 1.5 and 2 (Li et al. 2023): attention and feed-forward part read the same norm; part of each head is rotated; biases
/// everywhere.
/// </summary>
public sealed class Phi : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Phi(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Phi(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            vocabulary = read.Int("vocab_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 2048);
        var epsilon = read.Double("layer_norm_eps", 1e-5);
        var activation = new Activation(read.Text("hidden_act", "gelu_new"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(10000, 0.5), attention.HeadWidth);
        var headNorms = read.Bool("qk_layernorm", false);
        var table = parts.Tokens(read, Sizes);
        Tokens = LabelHead.TaskOf(read) is not null
            ? table
            : new TokenTable(table.Embedding, table.Head, table.HeadMap.Name) { HeadBias = parts.Bias("lm_head.bias", vocabulary) };
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            Norm Heads(string name) => parts.Norm(NormKind.Layer, prefix + "self_attn." + name, attention.HeadWidth, epsilon);
            var traits = new AttentionTraits
            {
                InputBias = true,
                OutputBias = true,
                Output = "dense",
                QueryNorm = headNorms ? Heads("q_layernorm").ForwardHeads : null,
                KeyNorm = headNorms ? Heads("k_layernorm").ForwardHeads : null,
            };
            blocks[layer] = new Block(
                parts.Norm(NormKind.Layer, prefix + "input_layernorm", hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form),
                    traits),
                parts.Linear(
                    prefix + "mlp.fc1",
                    Role.Up,
                    layer,
                    inner,
                    hidden,
                    bias: true),
                activation,
                parts.Linear(
                    prefix + "mlp.fc2",
                    Role.Down,
                    layer,
                    hidden,
                    inner,
                    bias: true));
        }
        norm = parts.Norm(NormKind.Layer, "model.final_layernorm", hidden, epsilon);
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
            var y = block.Before.Forward(x);
            return x + block.Attention.Forward(y, batch, turns, cache) + block.Down.Forward(block.Activation.Forward(block.Up.Forward(y)));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed record Block(
        Norm Before,
        GroupedAttention Attention,
        Projection Up,
        Activation Activation,
        Projection Down);
}
