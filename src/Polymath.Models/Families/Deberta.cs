using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// DeBERTa V2 and V3 (He et al. 2021): scores are sums of what a token's words say of another's words and of its distance; distances are
/// grouped logarithmically.
/// </summary>
public sealed class Deberta : LanguageModel
{
    private const string Root = "deberta.", Head = "cls.predictions.decoder.weight";
    private readonly Block[] blocks;
    private readonly EncoderInput input;
    private readonly Norm first;
    private readonly Weight? distances;
    private readonly Norm? distanceNorm;
    private readonly Projection? widen, transform;
    private readonly Norm? transformNorm, convolutionNorm;
    private readonly Activation headActivation;
    private readonly Weight? kernel, kernelBias;
    private readonly Activation? kernelActivation;
    private readonly int span, buckets, farthest, kernelGroups;
    private readonly bool toPosition, fromPosition;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Deberta(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Deberta(JsonObject configuration, ModelParts parts)
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
        var epsilon = read.Double("layer_norm_eps", 1e-7);
        var width = read.Int("embedding_size", hidden);
        const string words = Root + "embeddings.word_embeddings.weight";
        // The head of newer files has no weight of its own.
        var older = read.Bool("legacy", true);
        var table = older
            ? parts.Tokens(
                read,
                words,
                Head,
                vocabulary,
                width,
                tied: true)
            : Tied(parts.Table(words, vocabulary, width));
        var kindCount = read.Maybe("type_vocab_size") ?? 0;
        input = new EncoderInput(
            read.Bool("position_biased_input", true) ? parts.Weight(Root + "embeddings.position_embeddings.weight", context, width) : null,
            kindCount > 0 ? parts.Weight(Root + "embeddings.token_type_embeddings.weight", kindCount, width) : null);
        if (width != hidden) widen = parts.Linear(
            Root + "embeddings.embed_proj",
            Role.Head,
            -1,
            hidden,
            width);
        first = parts.Norm(NormKind.Layer, Root + "embeddings.LayerNorm", hidden, epsilon);
        var terms = configuration["pos_att_type"] is JsonValue ? read.Text("pos_att_type", "").Split('|') : read.Texts("pos_att_type");
        (toPosition, fromPosition) = (terms.Contains("c2p"), terms.Contains("p2c"));
        var relative = read.Bool("relative_attention", false);
        farthest = (int)read.Double("max_relative_positions", -1);
        if (farthest < 1) farthest = context;
        buckets = (int)read.Double("position_buckets", -1);
        span = buckets > 0 ? buckets : farthest;
        if (relative) distances = parts.Weight(Root + "encoder.rel_embeddings.weight", 2 * span, hidden);
        // Files have the norm even where no distances are learned.
        if (read.Text("norm_rel_ebd", "none").Contains("layer_norm", StringComparison.Ordinal))
            distanceNorm = parts.Norm(NormKind.Layer, Root + "encoder.LayerNorm", hidden, epsilon);
        if ((int)read.Double("conv_kernel_size", 0) is > 0 and var length)
        {
            kernelGroups = read.Int("conv_groups", 1);
            kernelActivation = new Activation(read.Text("conv_act", "tanh"));
            kernel = parts.Weight(Root + "encoder.conv.conv.weight", hidden, hidden / kernelGroups, length);
            kernelBias = parts.Bias(Root + "encoder.conv.conv.bias", hidden);
            convolutionNorm = parts.Norm(NormKind.Layer, Root + "encoder.conv.LayerNorm", hidden, epsilon);
        }
        headActivation = new Activation(read.Text("hidden_act", "gelu"));
        var own = !read.Bool("share_att_key", false) && relative;
        blocks = [.. Enumerable.Range(0, layers).Select(layer => MakeBlock(
            parts,
            layer,
            new EncoderSizes(hidden, inner, heads, epsilon),
            own && toPosition,
            own && fromPosition))];
        Tokens = table;
        if (LabelHead.TaskOf(read) is null)
        {
            // That head works at the full width, like the older one with token vectors of that width.
            var (map, bias) = older
                ? ("cls.predictions.transform.", "cls.predictions.bias")
                : ("lm_predictions.lm_head.", "lm_predictions.lm_head.bias");
            transform = parts.Linear(
                map + "dense",
                Role.Head,
                -1,
                older ? width : hidden,
                hidden,
                bias: true);
            transformNorm = parts.Norm(NormKind.Layer, map + "LayerNorm", older ? width : hidden, epsilon);
            Tokens = new TokenTable(table.Embedding, table.Head, "cls.predictions.decoder")
            {
                HeadBias = parts.HeadBias(
                    Head,
                    bias,
                    vocabulary,
                    table.IsTied),
            };
        }
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.First,
            new LabelNames(["pooler.dense", "classifier"], "classifier", RowBias: true, read.Text("pooler_hidden_act", "gelu")));
        parts.Finish(
            @".*position_ids",
            @"(cls|lm_predictions|mask_predictions|pooler)\..*",
            @"deberta\.embeddings\.position_embeddings\.weight");
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override Reading Reading => Reading.Encoder;

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["query_proj", "value_proj"];

    /// <inheritdoc/>
    public override Tensor Readout(Tensor hidden) =>
        transform is null ? hidden : transformNorm!.Forward(headActivation.Forward(transform.Forward(hidden)));

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var x = input.Forward(batch, Tokens);
        x = first.Forward(widen?.Forward(x) ?? x);                                  // [tokens, hidden]
        var start = x;
        var table = distances is null || !(toPosition || fromPosition) ? null : distanceNorm?.Forward(distances.Value) ?? distances.Value;
        foreach (var block in blocks)
        {
            x = Through([x, .. table is null ? (Tensor[])[] : [table]], given => Step(block, given[0], given.ElementAtOrDefault(1), batch));
            if (block.Layer == 0 && kernel is not null) x = Convolved(start, x, batch);
        }
        return x;
    }

    private static TokenTable Tied(Weight words) => new(words, words);

    private static Block MakeBlock(
        ModelParts parts,
        int layer,
        EncoderSizes sizes,
        bool keys,
        bool queries)
    {
        var prefix = $"{Root}encoder.layer.{layer}.";
        int hidden = sizes.Hidden, inner = sizes.Inner;
        Projection Map(
            string name,
            Role role,
            int output,
            int input,
            bool bias = true) => parts.Linear(
                prefix + name,
                role,
                layer,
                output,
                input,
                bias);
        Norm Scale(string name) => parts.Norm(NormKind.Layer, prefix + name, hidden, sizes.Epsilon);
        return new Block(
            layer,
            Map("attention.self.query_proj", Role.Query, hidden, hidden),
            Map("attention.self.key_proj", Role.Key, hidden, hidden),
            Map("attention.self.value_proj", Role.Value, hidden, hidden),
            keys ? Map("attention.self.pos_key_proj", Role.Key, hidden, hidden) : null,
            queries ? Map("attention.self.pos_query_proj", Role.Query, hidden, hidden) : null,
            Map("attention.output.dense", Role.Output, hidden, hidden),
            Scale("attention.output.LayerNorm"),
            Map("intermediate.dense", Role.Up, inner, hidden),
            Map("output.dense", Role.Down, hidden, inner),
            Scale("output.LayerNorm"));
    }

    private Tensor Step(Block block, Tensor x, Tensor? table, Batch batch)
    {
        x = block.AttentionNorm.Forward(block.Output.Forward(Attention(block, x, table, batch)) + x);
        return block.LastNorm.Forward(block.Down.Forward(headActivation.Forward(block.Up.Forward(x))) + x);
    }

    private Tensor Attention(Block block, Tensor x, Tensor? table, Batch batch)
    {
        Tensor Heads(Tensor of) => of.view(-1, Sizes.Heads, Sizes.HeadWidth).transpose(0, 1);           // [heads, tokens, D]
        // Keys and queries of distances come from the maps of words, where a block has no maps of its own for them. They come first, so
        // that what a map read last is the block's input (adapters parallel to the block read it there).
        var placeKey = table is null || !toPosition ? null : Heads((block.PlaceKey ?? block.Key).Forward(table));
        var placeQuery = table is null || !fromPosition ? null : Heads((block.PlaceQuery ?? block.Query).Forward(table));
        Tensor Flat(Projection map) => map.Forward(x).view(-1, Sizes.Heads, Sizes.HeadWidth);
        var query = Heads(block.Query.Forward(x));
        var (keys, values) = new AttentionPlace(block.Layer, new AttentionForm(1)).Prompted(batch, Flat(block.Key), Flat(block.Value));
        Tensor key = keys.transpose(0, 1), value = values.transpose(0, 1);
        var scale = 1 / Math.Sqrt(Sizes.HeadWidth * (1.0 + (toPosition ? 1 : 0) + (fromPosition ? 1 : 0)));
        var rows = new List<Tensor>();
        for (var r = 0; r < batch.Rows; r++)
        {
            int start = batch.Offsets[r], length = batch.Offsets[r + 1] - start;
            Tensor q = query.narrow(1, start, length), k = key.narrow(1, start, length);
            var scores = q.bmm(k.transpose(1, 2));                                                      // [heads, queries, keys]
            if (table is not null)
            {
                var columns = Columns(length);                                                          // [queries, keys]
                if (placeKey is not null) scores = scores + q.bmm(placeKey.transpose(1, 2)).gather(2, columns.expand(Sizes.Heads, -1, -1));
                if (placeQuery is not null)
                    scores = scores + k.bmm(placeQuery.transpose(1, 2)).gather(2, columns.t().expand(Sizes.Heads, -1, -1)).transpose(1, 2);
            }
            rows.Add((scores * scale).softmax(-1).bmm(value.narrow(1, start, length)).transpose(0, 1));
        }
        return cat(rows, 0).reshape(x.size(0), -1);
    }

    // For each query and key the row of the table of distances, from −span to span − 1.
    private Tensor Columns(int length)
    {
        var columns = new long[length * length];
        for (var q = 0; q < length; q++)
            for (var k = 0; k < length; k++)
                columns[q * length + k] = Math.Clamp(Bucket(q - k) + span, 0, 2 * span - 1);
        return tensor(columns, [length, length], device: Device);
    }

    // Near distances have buckets of their own; farther ones share buckets that grow logarithmically.
    private int Bucket(int distance)
    {
        int far = Math.Abs(distance), middle = buckets / 2;
        if (buckets <= 0 || far <= middle) return distance;
        var grown = MathF.Ceiling(MathF.Log((float)far / middle) / MathF.Log((farthest - 1f) / middle) * (middle - 1)) + middle;
        return Math.Sign(distance) * (int)grown;
    }

    // A convolution of what the first layer read joins what it gave.
    private Tensor Convolved(Tensor read, Tensor given, Batch batch)
    {
        var rows = new List<Tensor>();
        for (var r = 0; r < batch.Rows; r++)
        {
            var row = read.narrow(0, batch.Offsets[r], batch.Offsets[r + 1] - batch.Offsets[r]).t().unsqueeze(0);
            rows.Add(nn.functional.conv1d(
                row,
                kernel!.Value,
                kernelBias!.Value,
                padding: (kernel.Shape[2] - 1) / 2,
                groups: kernelGroups).squeeze(0).t());
        }
        return convolutionNorm!.Forward(given + kernelActivation!.Forward(cat(rows, 0)));
    }

    private sealed record Block(
        int Layer,
        Projection Query,
        Projection Key,
        Projection Value,
        Projection? PlaceKey,
        Projection? PlaceQuery,
        Projection Output,
        Norm AttentionNorm,
        Projection Up,
        Projection Down,
        Norm LastNorm);
}
