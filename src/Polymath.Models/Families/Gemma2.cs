using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Gemma 2 (Gemma Team 2024): norms before and after each part with the weight 1 + w, soft caps on scores and logits, a sliding window in
/// every other layer, token vectors scaled by √width.
/// </summary>
public sealed class Gemma2 : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly double cap;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Gemma2(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Gemma2(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 4, 256);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 8192);
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_activation", "gelu_pytorch_tanh"));
        cap = read.DoubleOrNone("attn_logit_softcapping", 50);
        var form = new AttentionForm(1 / Math.Sqrt(read.Double("query_pre_attn_scalar", 256)), cap);
        rotary = parts.Rotary(read.Rope(), attention.HeadWidth);
        var windows = read.Windows(layers, layer => layer % 2 == 0, 4096);
        var bias = read.Bool("attention_bias", false);
        var table = parts.Tokens(read, Sizes, tied: true);
        Tokens = new TokenTable(table.Embedding, table.Head, table.HeadMap.Name)
        {
            SoftCap = read.DoubleOrNone("final_logit_softcapping", 30), Scale = Math.Sqrt(hidden),
        };
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            Norm Scale(string name) => parts.Norm(NormKind.RmsFromOne, prefix + name, hidden, epsilon);
            blocks[layer] = new Block(
                Scale("input_layernorm"),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form, windows[layer]),
                    bias,
                    bias),
                Scale("post_attention_layernorm"),
                Scale("pre_feedforward_layernorm"),
                GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation),
                Scale("post_feedforward_layernorm"));
        }
        norm = parts.Norm(NormKind.RmsFromOne, "model.norm", hidden, epsilon);
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
    public override bool CapsScores
    {
        get => blocks[0].Attention.Place.Form.SoftCap > 0;
        set
        {
            foreach (var block in blocks)
                block.Attention.Place = block.Attention.Place with { Form = block.Attention.Place.Form with { SoftCap = value ? cap : 0 } };
        }
    }

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            x = x + block.AfterAttention.Forward(block.Attention.Forward(block.BeforeAttention.Forward(x), batch, turns, cache));
            x = x + block.AfterFeedForward.Forward(block.FeedForward.Forward(block.BeforeFeedForward.Forward(x)));
            return x;
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed record Block(
        Norm BeforeAttention,
        GroupedAttention Attention,
        Norm AfterAttention,
        Norm BeforeFeedForward,
        GatedFeedForward FeedForward,
        Norm AfterFeedForward);
}
