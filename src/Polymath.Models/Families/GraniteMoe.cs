using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Granite's mixture of experts (IBM 2024): Granite's factors; the blocks of all experts lie in one weight, and probabilities are over
/// the chosen ones only.
/// </summary>
public sealed class GraniteMoe : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly double branch, shrinks;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public GraniteMoe(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private GraniteMoe(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 2048);
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(read.Double("attention_multiplier", 1));
        branch = read.Double("residual_multiplier", 1);
        shrinks = read.Double("logits_scaling", 1);
        rotary = parts.Rotary(read.Rope(), attention.HeadWidth);
        var bias = read.Bool("attention_bias", false);
        int experts = read.Int("num_local_experts", 8), chosen = read.Int("num_experts_per_tok", 2);
        var table = parts.Tokens(read, Sizes);
        Tokens = new TokenTable(table.Embedding, table.Head, table.HeadMap.Name) { Scale = read.Double("embedding_multiplier", 1) };
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var own = prefix + "block_sparse_moe.";
            IReadOnlyList<Projection> Maps(string name, Role role, int output, int input) => parts.Stacked(
                own + name + ".weight",
                (own + "experts.", name),
                role,
                layer,
                (experts, output, input));
            var stack = new ExpertStack(
                Maps("input_linear", Role.GateUp, 2 * inner, hidden),
                Maps("output_linear", Role.Down, hidden, inner),
                ExpertStack.Halves(activation));
            blocks[layer] = new Block(
                parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form),
                    bias,
                    bias),
                parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon),
                new Experts(
                    (layer, parts.Routers),
                    Routing.SoftmaxOfChosen(parts.Linear(
                        own + "router.layer",
                        Role.Router,
                        layer,
                        experts,
                        hidden), chosen),
                    stack));
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
    public override IReadOnlyList<string> DefaultTargets { get; } = ["q_proj", "v_proj"];

    /// <inheritdoc/>
    public override Tensor Readout(Tensor hidden) => hidden / shrinks;

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            x = x + block.Attention.Forward(block.Before.Forward(x), batch, turns, cache) * branch;
            return x + block.Mixture.Forward(block.Between.Forward(x)) * branch;
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed record Block(Norm Before, GroupedAttention Attention, Norm Between, Experts Mixture);
}
