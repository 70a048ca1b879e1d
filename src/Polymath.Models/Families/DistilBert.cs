using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>DistilBERT (Sanh et al. 2019): BERT with half the layers, without the vectors of two texts.</summary>
public sealed class DistilBert : LanguageModel
{
    private readonly EncoderBlock[] blocks;
    private readonly EncoderInput input;
    private readonly Norm first;
    private readonly Projection? transform;
    private readonly Norm? transformNorm;
    private readonly Activation headActivation;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public DistilBert(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private DistilBert(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("dim"),
            heads = read.Int("n_heads"),
            layers = read.Int("n_layers"),
            vocabulary = read.Int("vocab_size"),
            inner = read.Int("hidden_dim"),
            context = read.Int("max_position_embeddings", 512);
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            hidden / heads,
            context);
        var epsilon = 1e-12;
        headActivation = new Activation(read.Text("activation", "gelu"));
        var table = parts.Tokens(
            read,
            "distilbert.embeddings.word_embeddings.weight",
            "vocab_projector.weight",
            vocabulary,
            hidden,
            tied: true);
        // Positions may begin as sinusoids (sinusoidal_pos_embds); these are stored and trained like learned ones, as in transformers 5.
        input = new EncoderInput(parts.Weight("distilbert.embeddings.position_embeddings.weight", context, hidden), null);
        first = parts.Norm(NormKind.Layer, "distilbert.embeddings.LayerNorm", hidden, epsilon);
        var names = new EncoderNames(
            "attention.q_lin",
            "attention.k_lin",
            "attention.v_lin",
            "attention.out_lin",
            "sa_layer_norm",
            "ffn.lin1",
            "ffn.lin2",
            "output_layer_norm");
        blocks = [.. Enumerable.Range(0, layers).Select(layer => new EncoderBlock(
            parts,
            $"distilbert.transformer.layer.{layer}.",
            names,
            layer,
            new EncoderSizes(hidden, inner, heads, epsilon),
            headActivation))];
        Tokens = table;
        if (LabelHead.TaskOf(read) is null)
        {
            transform = parts.Linear(
                "vocab_transform",
                Role.Head,
                -1,
                hidden,
                hidden,
                bias: true);
            transformNorm = parts.Norm(NormKind.Layer, "vocab_layer_norm", hidden, epsilon);
            Tokens = new TokenTable(
                table.Embedding,
                table.Head,
                "vocab_projector") { HeadBias = parts.Bias("vocab_projector.bias", vocabulary) };
        }
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.First,
            new LabelNames(["pre_classifier", "classifier"], "classifier", RowBias: true, "relu"));
        parts.Finish(@"(vocab_transform|vocab_layer_norm|vocab_projector)\..*");
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override Reading Reading => Reading.Encoder;

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["q_lin", "v_lin"];

    /// <inheritdoc/>
    public override Tensor Readout(Tensor hidden) =>
        transform is null ? hidden : transformNorm!.Forward(headActivation.Forward(transform.Forward(hidden)));

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var x = first.Forward(input.Forward(batch, Tokens));                                // [tokens, hidden]
        return Through(blocks, x, (block, x) => block.Forward(x, batch, Array.IndexOf(blocks, block)));
    }
}
