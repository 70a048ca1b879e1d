using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Gemma 3 (Gemma Team 2025): norms with the weight 1 + w before and after each part and over the heads of queries and keys; most layers
/// have a sliding window and rotary frequencies of their own.
/// </summary>
public sealed class Gemma3 : LanguageModel
{
    private const string Sliding = "sliding_attention";
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary far, near;
    private readonly double cap;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Gemma3(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Gemma3(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 4, 256);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 131072);
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_activation", "gelu_pytorch_tanh"));
        read.Expect("use_bidirectional_attention", false);
        cap = read.Double("attn_logit_softcapping", 0);
        var form = new AttentionForm(1 / Math.Sqrt(read.Double("query_pre_attn_scalar", 256)), cap);
        // Older files have one set of settings, which is that of the layers without a window.
        far = parts.Rotary(read.RopeOf("full_attention", 1e6), attention.HeadWidth);
        var own = read.Double("rope_local_base_freq", 10000);
        near = parts.Rotary(read.HasRopeKinds ? read.RopeOf("sliding_attention", own) : new RopeSettings(own), attention.HeadWidth);
        var pattern = read.IntOf(["sliding_window_pattern", "_sliding_window_pattern"], 6);
        var windows = read.Windows(layers, layer => (layer + 1) % pattern != 0, 4096);
        var kinds = read.LayerTypes(layers, layer => windows[layer] > 0 ? Sliding : "full_attention", Sliding, "full_attention");
        var bias = read.Bool("attention_bias", false);
        var table = parts.Tokens(read, Sizes, tied: true);
        Tokens = new TokenTable(table.Embedding, table.Head, table.HeadMap.Name)
        {
            SoftCap = read.Double("final_logit_softcapping", 0), Scale = Math.Sqrt(hidden),
        };
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            Norm Scale(string name, int width) => parts.Norm(NormKind.RmsFromOne, prefix + name, width, epsilon);
            var traits = new AttentionTraits
            {
                InputBias = bias,
                OutputBias = bias,
                QueryNorm = Scale("self_attn.q_norm", attention.HeadWidth).ForwardHeads,
                KeyNorm = Scale("self_attn.k_norm", attention.HeadWidth).ForwardHeads,
            };
            blocks[layer] = new Block(
                Scale("input_layernorm", hidden),
                new GroupedAttention(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form, windows[layer]),
                    traits),
                kinds[layer] == Sliding,
                Scale("post_attention_layernorm", hidden),
                Scale("pre_feedforward_layernorm", hidden),
                GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation),
                Scale("post_feedforward_layernorm", hidden));
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

    /// <summary>Whether attention's scores have the cap that the configuration names; transformers leaves it out here.</summary>
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
        RotaryAngles wide = far.At(batch.Positions, Device), local = near.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            var turns = block.Slides ? local : wide;
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
        bool Slides,
        Norm AfterAttention,
        Norm BeforeFeedForward,
        GatedFeedForward FeedForward,
        Norm AfterFeedForward);
}
