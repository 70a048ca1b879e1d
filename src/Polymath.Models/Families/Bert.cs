using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019): rows read in both directions, norms after each part. They differ in names, in
/// the first position, and in their heads.
/// </summary>
public sealed class Bert : LanguageModel
{
    private const string Pooler = "bert.pooler.dense";
    private readonly Block[] blocks;
    private readonly Weight positions, kinds;
    private readonly Norm first;
    private readonly int offset;
    private readonly Projection? transform, pooler;
    private readonly Norm? transformNorm;
    private readonly Activation activation, headActivation;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Bert(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Bert(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var roberta = read.Text("model_type", "bert") != "bert";
        var root = roberta ? "roberta." : "bert.";
        int hidden = read.Int("hidden_size"),
            heads = read.Int("num_attention_heads"),
            layers = read.Int("num_hidden_layers"),
            vocabulary = read.Int("vocab_size"),
            inner = read.Int("intermediate_size"),
            context = read.Int("max_position_embeddings", 512);
        read.Expect("position_embedding_type", "absolute");
        if (read.Bool("is_decoder", false)) throw new InputException("config.json: is_decoder is true; BERT is supported as encoder only.");
        // RoBERTa counts positions from the number of its padding token plus one.
        offset = roberta ? (read.Maybe("pad_token_id") ?? 1) + 1 : 0;
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            hidden / heads,
            context - offset);
        var epsilon = read.Double("layer_norm_eps", 1e-12);
        headActivation = activation = new Activation(read.Text("hidden_act", "gelu"));

        var words = root + "embeddings.word_embeddings.weight";
        var head = roberta ? "lm_head.decoder.weight" : "cls.predictions.decoder.weight";
        var tied = LabelHead.TaskOf(read) is not null || parts.Ties(read, words, head, tied: true);
        var table = parts.Table(words, vocabulary, hidden);
        positions = parts.Weight(root + "embeddings.position_embeddings.weight", context, hidden);
        kinds = parts.Weight(root + "embeddings.token_type_embeddings.weight", read.Int("type_vocab_size", 2), hidden);
        first = parts.Norm(NormKind.Layer, root + "embeddings.LayerNorm", hidden, epsilon);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"{root}encoder.layer.{layer}.";
            Projection Map(string name, Role role, int output, int input) => parts.Linear(
                prefix + name,
                role,
                layer,
                output,
                input,
                bias: true);
            blocks[layer] = new Block(
                Map("attention.self.query", Role.Query, hidden, hidden),
                Map("attention.self.key", Role.Key, hidden, hidden),
                Map("attention.self.value", Role.Value, hidden, hidden),
                new AttentionPlace(layer, new AttentionForm(1 / Math.Sqrt(Sizes.HeadWidth))),
                Map("attention.output.dense", Role.Output, hidden, hidden),
                parts.Norm(NormKind.Layer, prefix + "attention.output.LayerNorm", hidden, epsilon),
                Map("intermediate.dense", Role.Up, inner, hidden),
                Map("output.dense", Role.Down, hidden, inner),
                parts.Norm(NormKind.Layer, prefix + "output.LayerNorm", hidden, epsilon));
        }
        if (LabelHead.TaskOf(read) is { } task)
        {
            Tokens = new TokenTable(table, table);
            if (!roberta && task != LabelTask.Tag)
                pooler = parts.Linear(
                    Pooler,
                    Role.Head,
                    -1,
                    hidden,
                    hidden,
                    bias: true);
            Labels = LabelHead.Attach(
                read,
                parts,
                hidden,
                LabelPlace.First,
                new LabelNames(roberta ? ["classifier.dense", "classifier.out_proj"] : ["classifier"], "classifier", RowBias: true),
                parts.Has($"{Pooler}.weight") ? null : Pooler);
        }
        else
        {
            var (map, scale, bias) = roberta ? ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias")
                : ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias");
            transform = parts.Linear(
                map,
                Role.Head,
                -1,
                hidden,
                hidden,
                bias: true);
            transformNorm = parts.Norm(NormKind.Layer, scale, hidden, epsilon);
            // RoBERTa's head always has GELU, whatever its blocks have.
            if (roberta) headActivation = new Activation("gelu");
            var output = tied ? table : parts.Table(head, vocabulary, hidden);
            Tokens = new TokenTable(table, output, head[..^".weight".Length])
            {
                HeadBias = parts.HeadBias(
                    head,
                    bias,
                    vocabulary,
                    tied),
            };
        }
        // Published files also hold other weights of pretraining, tied weights a second time, and the position ids.
        parts.Finish(@".*position_ids", @"(bert|roberta)\.pooler\..*", @"cls\.seq_relationship\..*",
            @"(cls\.predictions|lm_head)\.decoder\.(weight|bias)", LabelHead.TaskOf(read) is null ? "" : @"(cls|lm_head)\..*");
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
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (batch.Positions.Length > 0 && batch.Positions.Max() >= Sizes.ContextLength)
            throw new InputException($"A row has {batch.Positions.Max() + 1} tokens, the model's context {Sizes.ContextLength}. Cut or "
                + "split it.");
        using var places = tensor(Array.ConvertAll(batch.Positions, place => (long)place + offset), device: Device);
        var x = Tokens.Embed(batch.Ids) + positions.Value.index_select(0, places) + TokenTypeVectors(batch);
        x = first.Forward(x);                                                       // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            Tensor Heads(Projection map) => map.Forward(x).view(-1, Sizes.Heads, Sizes.HeadWidth);
            var mixed = block.Place.Attend(
                batch,
                Heads(block.Query),
                Heads(block.Key),
                Heads(block.Value),
                null,
                batch.Whole);
            x = block.AttentionNorm.Forward(block.Output.Forward(mixed) + x);
            x = block.FeedForwardNorm.Forward(block.Down.Forward(activation.Forward(block.Up.Forward(x))) + x);
            return x;
        });
        return pooler is null ? x : pooler.Forward(x).tanh();
    }

    // The text (of two) that a token belongs to; the first by default.
    private Tensor TokenTypeVectors(Batch batch)
    {
        if (batch.TokenTypes is null) return kinds.Value[0];
        using var of = tensor(Array.ConvertAll(batch.TokenTypes, kind => (long)kind), device: Device);
        return kinds.Value.index_select(0, of);
    }

    /// <inheritdoc/>
    public override Tensor Readout(Tensor hidden) =>
        transform is null ? hidden : transformNorm!.Forward(headActivation.Forward(transform.Forward(hidden)));

    private sealed record Block(
        Projection Query,
        Projection Key,
        Projection Value,
        AttentionPlace Place,
        Projection Output,
        Norm AttentionNorm,
        Projection Up,
        Projection Down,
        Norm FeedForwardNorm);
}
