using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// T5 (Raffel et al. 2020), v1.0 and the gated v1.1: an encoder and a decoder, a learned bias by distance, which all layers share, instead
/// of positions; scores are not scaled. In a training row, the start that is not learned is the source, and the rest is the answer.
/// </summary>
public sealed class T5 : LanguageModel
{
    private readonly Stack encoder;
    private readonly Stack? decoder;
    private readonly AttentionForm form = new(1);
    private readonly int buckets, farthest, start;
    private readonly bool scalesOutput;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public T5(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, 0.05))
    {
    }

    private T5(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("d_model"),
            inner = read.Int("d_ff"),
            width = read.Int("d_kv"),
            heads = read.Int("num_heads"),
            layers = read.Int("num_layers"),
            vocabulary = read.Int("vocab_size");
        var decoderLayers = read.Int("num_decoder_layers", layers);
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            decoderLayers,
            heads,
            heads,
            width,
            read.Int("n_positions", 512));
        buckets = read.Int("relative_attention_num_buckets", 32);
        farthest = read.Int("relative_attention_max_distance", 128);
        start = read.Maybe("decoder_start_token_id") ?? read.Maybe("pad_token_id") ?? 0;
        var epsilon = read.Double("layer_norm_epsilon", 1e-6);
        // mT5 never scales the head's input, and its configuration says tied whatever its files hold.
        var many = read.Text("model_type", "t5") == "mt5";
        // Published models have "relu" and "gated-gelu"; the second means the tanh form.
        var feed = read.Text("feed_forward_proj", many ? "gated-gelu" : "relu");
        var gated = feed.StartsWith("gated-", StringComparison.Ordinal);
        var bare = gated ? feed["gated-".Length..] : feed;
        var activation = new Activation(feed == "gated-gelu" ? "gelu_new" : bare);
        var tied = read.Bool("tie_word_embeddings", true);
        scalesOutput = !many && read.Bool("scale_decoder_outputs", tied);
        // A head over rows reads the decoder's state at the row's end, a head over tokens the encoder's states.
        var task = LabelHead.TaskOf(read);
        var root = task is null ? "" : "transformer.";
        Tokens = parts.Tokens(
            read,
            root + "shared.weight",
            "lm_head.weight",
            vocabulary,
            hidden,
            tied: true);
        // A head that is untied despite the configuration is still scaled as the configuration says.
        if (tied && !many && !Tokens.IsTied) read.Correct("scale_decoder_outputs", scalesOutput);
        if (many && read.Has("tie_word_embeddings")) read.Correct("tie_word_embeddings", tied);
        RefuseOtherTables(parts, root);

        Stack Build(string name, int count, bool reads)
        {
            Weight? table = null;
            var blocks = new Block[count];
            for (var layer = 0; layer < count; layer++)
            {
                var prefix = $"{root}{name}.block.{layer}.layer.";
                Attention Attend(string name) => Attended(
                    parts,
                    name,
                    layer,
                    heads * width,
                    hidden);
                var self = Attend(prefix + "0.SelfAttention");
                if (layer == 0) table = parts.Weight(prefix + "0.SelfAttention.relative_attention_bias.weight", buckets, heads);
                var selfNorm = parts.Norm(NormKind.Rms, prefix + "0.layer_norm", hidden, epsilon);
                var (cross, crossNorm) = reads
                    ? (Attend(prefix + "1.EncDecAttention"), parts.Norm(NormKind.Rms, prefix + "1.layer_norm", hidden, epsilon))
                    : (null, null);
                var last = $"{prefix}{(reads ? 2 : 1)}.";
                Projection Up(string name) => parts.Linear(
                    $"{last}DenseReluDense.{name}",
                    name == "wi_0" ? Role.Gate : Role.Up,
                    layer,
                    inner,
                    hidden);
                var ups = gated ? new[] { Up("wi_0"), Up("wi_1") } : [Up("wi")];
                var down = parts.Linear(
                    $"{last}DenseReluDense.wo",
                    Role.Down,
                    layer,
                    hidden,
                    inner);
                blocks[layer] = new Block(
                    layer,
                    self,
                    selfNorm,
                    cross,
                    crossNorm,
                    ups,
                    activation,
                    down,
                    parts.Norm(NormKind.Rms, last + "layer_norm", hidden, epsilon));
            }
            return new Stack(blocks, table!, parts.Norm(NormKind.Rms, $"{root}{name}.final_layer_norm", hidden, epsilon), reads);
        }
        encoder = Build("encoder", layers, reads: false);
        if (task != LabelTask.Tag) decoder = Build("decoder", decoderLayers, reads: true);
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.Last,
            new LabelNames(["classification_head.dense", "classification_head.out_proj"], "classifier", RowBias: true));
        parts.Finish(
            @"(transformer\.)?(encoder|decoder)\.embed_tokens\.weight",
            @"(transformer\.)?decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
            task == LabelTask.Tag ? @"(transformer\.)?decoder\..*" : "");
    }

    private static Attention Attended(
        ModelParts parts,
        string name,
        int layer,
        int inner,
        int hidden) => new(
        parts.Linear(
            name + ".q",
            Role.Query,
            layer,
            inner,
            hidden),
        parts.Linear(
            name + ".k",
            Role.Key,
            layer,
            inner,
            hidden),
        parts.Linear(
            name + ".v",
            Role.Value,
            layer,
            inner,
            hidden),
        parts.Linear(
            name + ".o",
            Role.Output,
            layer,
            hidden,
            inner));

    private static void RefuseOtherTables(ModelParts parts, string root)
    {
        foreach (var copy in new[] { "encoder.embed_tokens.weight", "decoder.embed_tokens.weight" })
        {
            if (parts.Differs(root + "shared.weight", root + copy))
                throw new InputException($"{root + copy} differs from {root}shared.weight; a T5 with two tables of token vectors "
                    + "is not supported. Use the file that its authors published.");
        }
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override Reading Reading => decoder is null ? Reading.Encoder : Reading.EncoderDecoder;

    /// <inheritdoc/>
    public override bool TakesSourcePrefix => decoder is not null;

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["q", "v"];

    /// <inheritdoc/>
    public override Tensor Readout(Tensor hidden) => scalesOutput ? hidden * Math.Pow(Sizes.HiddenSize, -0.5) : hidden;

    /// <inheritdoc/>
    public override KeyValueCache NewCache(int slots, int capacity) => new(
        2 * Sizes.Layers,
        slots,
        Sizes.KeyValueHeads,
        capacity,
        Sizes.HeadWidth);

    internal override int[] Continued(int[] prompt) => [start];

    /// <inheritdoc/>
    protected override Batch Start(IReadOnlyList<int[]> prompts, int[] slots)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return Batch.Continue([.. prompts.Select(_ => (int[])[.. Lead, start])], slots, new int[prompts.Count], Batch.Continue(
            prompts, slots, new int[prompts.Count]));
    }

    /// <inheritdoc/>
    protected override Batch Arrange(IReadOnlyList<TokenRow> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        if (Labels is { } head)
            return head.Task == LabelTask.Tag
                ? base.Arrange(rows)
                : Batch.Pairs(
                    [.. rows.Select(row => row.Ids)],
                    [.. rows.Select(row => new TokenRow([start, .. row.Ids[..^1]], new float[row.Ids.Length], row.Source))]);
        var sources = new List<int[]>();
        var answers = new List<TokenRow>();
        foreach (var row in rows)
        {
            var cut = Array.FindIndex(row.Learn, weight => weight != 0);
            if (cut <= 0)
                throw new InputException($"The row {row.Source} {(cut < 0 ? "has no answer" : "has no source before its answer")}; an "
                    + "encoder-decoder learns answers to sources. Give it a stage with prompts and answers.");
            sources.Add(row.Ids[..cut]);
            answers.Add(
                new TokenRow([.. Lead, start, .. row.Ids[cut..]], [.. new float[Lead.Length + 1], .. row.Learn[cut..]], row.Source));
        }
        return Batch.Pairs(sources, answers);
    }

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (decoder is null) return Encode(batch);
        if (batch.Source is null && cache is null) throw new InvalidOperationException("The batch has no source for the encoder to read.");
        var read = batch.Source is null ? null : Encode(batch.Source);              // [source tokens, hidden]
        var bias = Bias(decoder, 1 - (batch.Positions.Max() + 1), 0);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        foreach (var block in decoder.Blocks)
            x = Through([x, bias.Table, .. read is null ? (Tensor[])[] : [read]], given =>
            {
                var x = given[0];
                var (query, key, value) = Heads(block.Self, block.SelfNorm.Forward(x));
                x = x + block.Self.Output.Forward(new AttentionPlace(block.Layer, form).Attend(
                    batch,
                    query,
                    key,
                    value,
                    cache,
                    bias: bias with { Table = given[1] }));
                x = x + block.Cross!.Output.Forward(ReadSource(
                    block,
                    block.CrossNorm!.Forward(x),
                    given.ElementAtOrDefault(2),
                    batch,
                    cache));
                return x + block.Feed(x);
            });
        cache?.Advance(batch);
        return decoder.Norm.Forward(x);
    }

    private Tensor Encode(Batch source)
    {
        var length = source.Positions.Max() + 1;
        var prefix = Prompt is { IsOn: true, GivesSource: true } prompt ? new SourcePrefix(prompt, source) : null;
        // Distances count a prefix, which stands before the first place.
        var before = prefix?.Length ?? 0;
        var bias = Bias(encoder, 1 - length - before, length - 1);
        bias = bias with { Zero = bias.Zero - before };
        var x = Tokens.Embed(source.Ids);
        foreach (var block in encoder.Blocks)
            x = Through([x, bias.Table], given =>
            {
                var x = given[0];
                var (query, key, value) = Heads(block.Self, block.SelfNorm.Forward(x));
                if (prefix is not null) (key, value) = prefix.Before(block.Layer, key, value);
                x = x + block.Self.Output.Forward(new AttentionPlace(block.Layer, form).Attend(
                    source,
                    query,
                    key,
                    value,
                    null,
                    prefix?.Reach ?? source.Whole,
                    bias with { Table = given[1] }));
                return x + block.Feed(x);
            });
        return encoder.Norm.Forward(x);
    }

    private Tensor ReadSource(
        Block block,
        Tensor x,
        Tensor? read,
        Batch batch,
        KeyValueCache? cache)
    {
        var query = Split(block.Cross!.Query.Forward(x));
        var plane = Sizes.Layers + block.Layer;
        if (read is null) return Flat(cache!.ReadSource(plane, batch, query, form));
        Tensor key = Split(block.Cross.Key.Forward(read)), value = Split(block.Cross.Value.Forward(read));
        cache?.StoreSource(plane, batch, key, value);
        return Flat(RaggedAttention.Of(
            query,
            key,
            value,
            Reach.Whole(batch.Offsets, batch.Source!.Offsets),
            form));
    }

    private (Tensor Query, Tensor Key, Tensor Value) Heads(Attention attention, Tensor x) =>
        (Split(attention.Query.Forward(x)), Split(attention.Key.Forward(x)), Split(attention.Value.Forward(x)));

    private Tensor Split(Tensor x) => x.view(-1, Sizes.Heads, Sizes.HeadWidth);

    private static Tensor Flat(Tensor x) => x.view(x.size(0), -1);

    // The biases of all distances, from the smallest to the largest: rows of the learned table, by bucket.
    private DistanceBias Bias(Stack stack, int least, int greatest)
    {
        var of = tensor(
            Enumerable.Range(least, greatest - least + 1).Select(distance => (long)Bucket(distance, both: !stack.Reads)).ToArray(),
            device: Device);
        return new DistanceBias(stack.Table.Value.index_select(0, of).t().contiguous(), -least);
    }

    // Each small distance has its own bucket; larger distances share buckets that grow logarithmically, up to the largest.
    private int Bucket(int distance, bool both)
    {
        var count = both ? buckets / 2 : buckets;
        var first = both && distance > 0 ? count : 0;
        int far = both ? Math.Abs(distance) : Math.Max(-distance, 0), exact = count / 2;
        if (far < exact) return first + far;
        var grown = exact + (int)(MathF.Log((float)far / exact) / (float)Math.Log((double)farthest / exact) * (count - exact));
        return first + Math.Min(grown, count - 1);
    }

    private sealed record Attention(Projection Query, Projection Key, Projection Value, Projection Output);

    private sealed record Stack(Block[] Blocks, Weight Table, Norm Norm, bool Reads);

    private sealed record Block(
        int Layer,
        Attention Self,
        Norm SelfNorm,
        Attention? Cross,
        Norm? CrossNorm,
        Projection[] Ups,
        Activation Activation,
        Projection Down,
        Norm FeedNorm)
    {
        internal Tensor Feed(Tensor x)
        {
            var y = FeedNorm.Forward(x);
            var first = Ups[0].Forward(y);
            return Down.Forward(Ups.Length == 1 ? Activation.Forward(first) : Activation.Gate(first, Ups[1].Forward(y)));
        }
    }
}
