using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Granite (IBM 2024) and MiniCPM (Hu et al. 2024): Llama's block with factors of the token vectors, of what each part adds to the
/// stream, of the scores and of the logits.
/// </summary>
public sealed class Granite : LanguageModel
{
    private readonly GatedBlock[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly double shrinks;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Granite(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Granite(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var mini = read.Text("model_type", "granite") == "minicpm";
        // MiniCPM 4 names the width of its heads so.
        var attention = mini ? AttentionSizes.Of(read, null, read.Maybe("kv_channels")) : AttentionSizes.Of(read);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            vocabulary = read.Int("vocab_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 2048);
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        // MiniCPM's names of the same factors; its scores have the usual one.
        var scale = mini ? 1 / Math.Sqrt(attention.HeadWidth) : read.Double("attention_multiplier", 1);
        var branch = mini ? read.Double("scale_depth", 1) / Math.Sqrt(layers) : read.Double("residual_multiplier", 1);
        var vectors = mini ? read.Double("scale_emb", 1) : read.Double("embedding_multiplier", 1);
        shrinks = mini ? hidden / read.Double("dim_model_base", 1) : read.Double("logits_scaling", 1);
        var form = new AttentionForm(scale);
        rotary = parts.Rotary(read.Rope(), attention.HeadWidth);
        var bias = read.Bool("attention_bias", false);
        var innerBias = !mini && read.Bool("mlp_bias", false);
        var table = parts.Tokens(
            read,
            "model.embed_tokens.weight",
            "lm_head.weight",
            vocabulary,
            hidden,
            tied: mini);
        Tokens = new TokenTable(table.Embedding, table.Head, table.HeadMap.Name) { Scale = vectors };
        blocks = new GatedBlock[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            blocks[layer] = new GatedBlock(
                parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form),
                    bias,
                    bias),
                parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon),
                GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation,
                    innerBias),
                branch);
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
        x = Through(blocks, x, (block, x) => block.Forward(x, batch, turns, cache));
        cache?.Advance(batch);
        return norm.Forward(x);
    }
}
