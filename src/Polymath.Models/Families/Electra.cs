using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// ELECTRA (Clark et al. 2020): BERT with token vectors of a width of their own; the generator predicts masked words, the discriminator
/// is what is trained further.
/// </summary>
public sealed class Electra : LanguageModel
{
    private readonly EncoderBlock[] blocks;
    private readonly EncoderInput input;
    private readonly Norm first;
    private readonly Projection? widen, transform;
    private readonly Norm? transformNorm;
    private readonly Activation headActivation = new("gelu");

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Electra(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Electra(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("hidden_size"),
            heads = read.Int("num_attention_heads"),
            layers = read.Int("num_hidden_layers"),
            vocabulary = read.Int("vocab_size"),
            inner = read.Int("intermediate_size"),
            context = read.Int("max_position_embeddings", 512);
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            hidden / heads,
            context);
        var epsilon = read.Double("layer_norm_eps", 1e-12);
        read.Expect("position_embedding_type", "absolute");
        read.Expect("is_decoder", false);
        var width = read.Int("embedding_size", 128);
        var table = parts.Tokens(
            read,
            "electra.embeddings.word_embeddings.weight",
            "generator_lm_head.weight",
            vocabulary,
            width,
            tied: true);
        input = new EncoderInput(
            parts.Weight("electra.embeddings.position_embeddings.weight", context, width),
            parts.Weight("electra.embeddings.token_type_embeddings.weight", read.Int("type_vocab_size", 2), width));
        first = parts.Norm(NormKind.Layer, "electra.embeddings.LayerNorm", width, epsilon);
        if (width != hidden) widen = parts.Linear(
            "electra.embeddings_project",
            Role.Head,
            -1,
            hidden,
            width,
            bias: true);
        var activation = new Activation(read.Text("hidden_act", "gelu"));
        blocks = [.. Enumerable.Range(0, layers).Select(layer => new EncoderBlock(
            parts,
            $"electra.encoder.layer.{layer}.",
            EncoderNames.Usual,
            layer,
            new EncoderSizes(hidden, inner, heads, epsilon),
            activation))];
        Tokens = table;
        if (LabelHead.TaskOf(read) is null)
        {
            transform = parts.Linear(
                "generator_predictions.dense",
                Role.Head,
                -1,
                width,
                hidden,
                bias: true);
            transformNorm = parts.Norm(NormKind.Layer, "generator_predictions.LayerNorm", width, epsilon);
            Tokens = new TokenTable(
                table.Embedding,
                table.Head,
                "generator_lm_head") { HeadBias = parts.Bias("generator_lm_head.bias", vocabulary) };
        }
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.First,
            new LabelNames(["classifier.dense", "classifier.out_proj"], "classifier", RowBias: true, "gelu"));
        parts.Finish(@".*position_ids", @"(generator_predictions|generator_lm_head|discriminator_predictions)\..*");
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override Reading Reading => Reading.Encoder;

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["query", "value"];

    /// <inheritdoc/>
    public override Tensor Readout(Tensor hidden) =>
        transform is null ? hidden : transformNorm!.Forward(headActivation.Forward(transform.Forward(hidden)));

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var x = first.Forward(input.Forward(batch, Tokens));                                // [tokens, width]
        if (widen is not null) x = widen.Forward(x);                                // [tokens, hidden]
        return Through(blocks, x, (block, x) => block.Forward(x, batch, Array.IndexOf(blocks, block)));
    }
}
