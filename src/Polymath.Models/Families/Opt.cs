using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// OPT (Zhang et al. 2022): learned positions counted from two, layer norms before each part (or after, in the 350M model), ReLU.
/// </summary>
public sealed class Opt : LanguageModel
{
    // The offset of 2 is the original padding id 1 plus one; it does not depend on the configuration's padding id.
    private const int Offset = 2;
    private readonly Block[] blocks;
    private readonly Norm? norm;
    private readonly Weight positions;
    private readonly Projection? projectIn, projectOut;
    private readonly bool before;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Opt(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Opt(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("hidden_size"),
            heads = read.Int("num_attention_heads"),
            layers = read.Int("num_hidden_layers"),
            vocabulary = read.Int("vocab_size"),
            inner = read.Int("ffn_dim"),
            context = read.Int("max_position_embeddings", 2048);
        var outer = read.Int("word_embed_proj_dim", hidden);
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            hidden / heads,
            context);
        before = read.Bool("do_layer_norm_before", true);
        bool bias = read.Bool("enable_bias", true), scaled = read.Bool("layer_norm_elementwise_affine", true);
        Norm Scale(string name) => scaled ? parts.Norm(NormKind.Layer, name, hidden, 1e-5) : new Norm(NormKind.Layer, null, null, 1e-5);
        var activation = new Activation(read.Text("activation_function", "relu"));
        Tokens = parts.Tokens(
            read,
            "model.decoder.embed_tokens.weight",
            "lm_head.weight",
            vocabulary,
            outer,
            tied: true);
        positions = parts.Weight("model.decoder.embed_positions.weight", context + Offset, hidden);
        if (outer != hidden)
        {
            projectOut = parts.Linear(
                "model.decoder.project_out",
                Role.Head,
                -1,
                outer,
                hidden);
            projectIn = parts.Linear(
                "model.decoder.project_in",
                Role.Head,
                -1,
                hidden,
                outer);
        }
        if (before && !read.Bool("_remove_final_layer_norm", false)) norm = Scale("model.decoder.final_layer_norm");
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.decoder.layers.{layer}.";
            Projection Map(string name, Role role, int output, int input) => parts.Linear(
                prefix + name,
                role,
                layer,
                output,
                input,
                bias);
            blocks[layer] = new Block(
                Map("self_attn.q_proj", Role.Query, hidden, hidden),
                Map("self_attn.k_proj", Role.Key, hidden, hidden),
                Map("self_attn.v_proj", Role.Value, hidden, hidden),
                new AttentionPlace(layer, new AttentionForm(1 / Math.Sqrt(Sizes.HeadWidth)))
                {
                    Socket = parts.Attention(prefix + "self_attn", layer),
                },
                Map("self_attn.out_proj", Role.Output, hidden, hidden),
                Scale(prefix + "self_attn_layer_norm"),
                Map("fc1", Role.Up, inner, hidden),
                activation,
                Map("fc2", Role.Down, hidden, inner),
                Scale(prefix + "final_layer_norm"));
        }
        Labels = LabelHead.Attach(read, parts, outer, LabelPlace.Last);
        parts.Finish();
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["q_proj", "v_proj"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> MadeOrder { get; } = ["k_proj", "v_proj", "q_proj", "out_proj"];

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using var places = tensor(Array.ConvertAll(batch.Positions, place => (long)place + Offset), device: Device);
        var x = Tokens.Embed(batch.Ids);
        x = (projectIn?.Forward(x) ?? x) + positions.Value.index_select(0, places);     // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            var y = before ? block.AttentionNorm.Forward(x) : x;
            Tensor Heads(Projection map, Tensor of) => map.Forward(of).view(-1, Sizes.Heads, Sizes.HeadWidth);
            x = x + block.Output.Forward(block.Place.Attend(
                batch,
                Heads(block.Query, y),
                Heads(block.Key, y),
                Heads(block.Value, y),
                cache,
                map: of => (Heads(block.Key, of), Heads(block.Value, of))));
            if (!before) x = block.AttentionNorm.Forward(x);
            x = x + block.Down.Forward(block.Activation.Forward(block.Up.Forward(before ? block.FeedForwardNorm.Forward(x) : x)));
            if (!before) x = block.FeedForwardNorm.Forward(x);
            return x;
        });
        cache?.Advance(batch);
        x = norm?.Forward(x) ?? x;
        return projectOut?.Forward(x) ?? x;                                             // [tokens, the token vectors' width]
    }

    private sealed record Block(
        Projection Query,
        Projection Key,
        Projection Value,
        AttentionPlace Place,
        Projection Output,
        Norm AttentionNorm,
        Projection Up,
        Activation Activation,
        Projection Down,
        Norm FeedForwardNorm);
}
