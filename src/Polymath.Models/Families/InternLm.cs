using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// InternLM (Shanghai AI Laboratory 2023) and InternLM 3 (2025), and the first files of Yi (01.AI 2023): Llama's block; they differ in
/// biases and in the names of two norms.
/// </summary>
public sealed class InternLm : LanguageModel
{
    private readonly GatedBlock[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public InternLm(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private InternLm(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var type = read.Text("model_type", "internlm");
        var attention = AttentionSizes.Of(read);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, type == "internlm3" ? 32768 : 2048);
        var epsilon = read.Double("rms_norm_eps", type == "internlm" ? 1e-6 : 1e-5);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        var rope = read.Rope(type == "Yi" ? 5e6 : 10000);
        rotary = parts.Rotary(rope, attention.HeadWidth);
        if (rope.Type == "dynamic") Sizes = Sizes with { ContextLength = (int)(Sizes.ContextLength * rope.Factor) };
        // The first InternLM has one switch for the biases of attention, the third a second one for query, key and value.
        var bias = type != "Yi" && read.Bool("bias", type == "internlm");
        bool inputBias = type == "internlm3" ? read.Bool("qkv_bias", false) : bias, innerBias = type == "internlm3" && bias;
        var (first, second) = type == "Yi" ? ("ln1", "ln2") : ("input_layernorm", "post_attention_layernorm");
        Tokens = parts.Tokens(read, Sizes);
        blocks = new GatedBlock[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            blocks[layer] = new GatedBlock(
                parts.Norm(NormKind.Rms, prefix + first, hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form),
                    inputBias,
                    bias),
                parts.Norm(NormKind.Rms, prefix + second, hidden, epsilon),
                GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation,
                    innerBias));
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
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) => block.Forward(x, batch, turns, cache));
        cache?.Advance(batch);
        return norm.Forward(x);
    }
}
