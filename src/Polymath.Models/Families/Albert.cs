using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// ALBERT (Lan et al. 2020): BERT whose layers share the weights of one block, or of a few groups; token vectors have a width of their
/// own.
/// </summary>
public sealed class Albert : LanguageModel
{
    private readonly (EncoderBlock Block, int Layer)[] blocks;
    private readonly EncoderInput input;
    private readonly Norm first;
    private readonly Projection widen;
    private readonly Projection? transform;
    private readonly Norm? transformNorm;
    private readonly Activation headActivation;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Albert(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Albert(JsonObject configuration, ModelParts parts)
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
        var width = read.Int("embedding_size", 128);
        var table = parts.Tokens(
            read,
            "albert.embeddings.word_embeddings.weight",
            "predictions.decoder.weight",
            vocabulary,
            width,
            tied: true);
        input = new EncoderInput(
            parts.Weight("albert.embeddings.position_embeddings.weight", context, width),
            parts.Weight("albert.embeddings.token_type_embeddings.weight", read.Int("type_vocab_size", 2), width));
        first = parts.Norm(NormKind.Layer, "albert.embeddings.LayerNorm", width, epsilon);
        widen = parts.Linear(
            "albert.encoder.embedding_hidden_mapping_in",
            Role.Head,
            -1,
            hidden,
            width,
            bias: true);
        headActivation = new Activation(read.Text("hidden_act", "gelu_new"));
        int groups = read.Int("num_hidden_groups", 1), within = read.Int("inner_group_num", 1);
        var names = new EncoderNames(
            "attention.query",
            "attention.key",
            "attention.value",
            "attention.dense",
            "attention.LayerNorm",
            "ffn",
            "ffn_output",
            "full_layer_layer_norm");
        var own = Enumerable.Range(0, groups * within).Select(number => new EncoderBlock(
            parts,
            $"albert.encoder.albert_layer_groups.{number / within}.albert_layers.{number % within}.",
            names,
            number,
            new EncoderSizes(hidden, inner, heads, epsilon),
            headActivation)).ToArray();
        // Consecutive layers share a group; a layer may be several blocks in a row.
        blocks = [.. Enumerable.Range(0, layers).SelectMany(layer => Enumerable.Range(0, within)
            .Select(number => (own[(int)(layer / (layers / (double)groups)) * within + number], layer)))];
        Tokens = table;
        if (LabelHead.TaskOf(read) is null)
        {
            transform = parts.Linear(
                "predictions.dense",
                Role.Head,
                -1,
                width,
                hidden,
                bias: true);
            transformNorm = parts.Norm(NormKind.Layer, "predictions.LayerNorm", width, epsilon);
            Tokens = new TokenTable(table.Embedding, table.Head, "predictions.decoder")
            {
                HeadBias = parts.HeadBias(
                    "predictions.decoder.weight",
                    "predictions.bias",
                    vocabulary,
                    table.IsTied),
            };
        }
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.First,
            new LabelNames(["albert.pooler", "classifier"], "classifier", RowBias: true));
        parts.Finish(@".*position_ids", @"albert\.pooler\..*", @"predictions\..*", @"sop_classifier\..*");
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
        var x = widen.Forward(first.Forward(input.Forward(batch, Tokens)));                 // [tokens, hidden]
        return Through(blocks, x, (block, x) => block.Block.Forward(x, batch, block.Layer));
    }
}
