using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// BART (Lewis et al. 2020), mBART (Liu et al. 2020) and PEGASUS (Zhang et al. 2020): an encoder and a decoder with positions. BART has
/// its norms after each part, the others before; PEGASUS has sinusoids instead of learned positions. In a training row, the start that is
/// not learned is the source, and the rest is the answer.
/// </summary>
public sealed class Bart : LanguageModel
{
    private readonly Stack encoder, decoder;
    private readonly Activation activation;
    private readonly int start, end, padding;
    private readonly bool before, wraps;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Bart(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("init_std", 0.02)))
    {
    }

    private Bart(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var type = read.Text("model_type", "bart");
        int hidden = read.Int("d_model"),
            layers = read.Int("decoder_layers"),
            heads = read.Int("decoder_attention_heads"),
            vocabulary = read.Int("vocab_size"),
            context = read.Int("max_position_embeddings", 1024);
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            hidden / heads,
            context);
        (before, wraps) = (type != "bart", type == "mbart");
        start = read.Maybe("decoder_start_token_id") ?? read.Maybe(wraps ? "bos_token_id" : "pad_token_id") ?? 0;
        padding = read.Maybe("pad_token_id") ?? (type == "pegasus" ? 0 : 1);
        end = read.Maybe("eos_token_id") ?? (type == "pegasus" ? 1 : 2);
        activation = new Activation(read.Text("activation_function", "gelu"));
        var table = parts.Tokens(
            read,
            "model.shared.weight",
            "lm_head.weight",
            vocabulary,
            hidden,
            tied: true);
        foreach (var copy in new[] { "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight" })
            if (parts.Differs("model.shared.weight", copy))
                throw new InputException($"{copy} differs from model.shared.weight; a model with two tables of token vectors is not "
                    + "supported. Use the file that its authors published.");
        Tokens = new TokenTable(table.Embedding, table.Head, table.HeadMap.Name)
        {
            Scale = read.Bool("scale_embedding", false) ? Math.Sqrt(hidden) : 1,
            HeadBias = LabelHead.TaskOf(read) is null ? parts.Fixed("final_logits_bias", 1, vocabulary) : null,
        };
        Stack Build(string name, bool reads) => new(
            parts,
            $"model.{name}.",
            new StackSizes(
                hidden,
                read.Int($"{name}_ffn_dim"),
                read.Int($"{name}_attention_heads"),
                read.Int($"{name}_layers"),
                context,
                reads,
                before,
                type == "pegasus"));
        encoder = Build("encoder", reads: false);
        decoder = Build("decoder", reads: true);
        if (LabelHead.TaskOf(read) is LabelTask.Tag)
            throw new InputException($"{read.Architecture} is not supported: {type} has no head over tokens.");
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.Last,
            new LabelNames(["classification_head.dense", "classification_head.out_proj"], "classifier", RowBias: true));
        parts.Finish(@"model\.(encoder|decoder)\.(embed_tokens\.weight|version)", @"final_logits_bias");
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override Reading Reading => Reading.EncoderDecoder;

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["q_proj", "v_proj"];

    /// <inheritdoc/>
    public override KeyValueCache NewCache(int slots, int capacity) => new(
        2 * Sizes.Layers,
        slots,
        Sizes.KeyValueHeads,
        capacity,
        Sizes.HeadWidth);

    /// <inheritdoc/>
    public override int StartOf(IReadOnlyList<int> answer)
    {
        ArgumentNullException.ThrowIfNull(answer);
        // mBART's answers begin with their own last token, the language.
        return wraps && answer.Count > 0 ? answer[^1] : start;
    }

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
        if (Labels is not null) return Batch.Pairs([.. rows.Select(row => row.Ids)], [.. rows.Select(Labelled)]);
        var sources = new List<int[]>();
        var answers = new List<TokenRow>();
        foreach (var row in rows)
        {
            var cut = Array.FindIndex(row.Learn, weight => weight != 0);
            if (cut <= 0)
                throw new InputException($"The row {row.Source} {(cut < 0 ? "has no answer" : "has no source before its answer")}; an "
                    + "encoder-decoder learns answers to sources. Give it a stage with prompts and answers.");
            sources.Add(row.Ids[..cut]);
            answers.Add(new TokenRow(
                [.. Lead, StartOf(row.Ids[cut..]), .. row.Ids[cut..]], [.. new float[Lead.Length + 1], .. row.Learn[cut..]], row.Source));
        }
        return Batch.Pairs(sources, answers);
    }

    // A head over rows reads the decoder's state at the row's last end token; what follows there is not seen by it.
    private TokenRow Labelled(TokenRow row)
    {
        var last = Array.LastIndexOf(row.Ids, end);
        int[] read = [wraps ? row.Ids[^1] : start, .. row.Ids[..(last < 0 ? row.Ids.Length - 1 : last)]];
        return new TokenRow(read, new float[read.Length], row.Source);
    }

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (batch.Source is null && cache is null) throw new InvalidOperationException("The batch has no source for the encoder to read.");
        var read = batch.Source is null ? null : Encode(batch.Source);              // [source tokens, hidden]
        var x = decoder.Enter(Tokens, batch, padding);                              // [tokens, hidden]
        foreach (var block in decoder.Blocks)
            x = Through([x, .. read is null ? (Tensor[])[] : [read]], given =>
            {
                var y = block.Self.Around(given[0], before, x => block.Self.Mix(x, batch, cache));
                y = block.Cross!.Around(y, before, x => ReadSource(
                    block,
                    x,
                    given.ElementAtOrDefault(1),
                    batch,
                    cache));
                return block.Feed(y, before, activation);
            });
        cache?.Advance(batch);
        return decoder.Norm?.Forward(x) ?? x;
    }

    private Tensor Encode(Batch source)
    {
        var x = encoder.Enter(Tokens, source, padding);
        foreach (var block in encoder.Blocks)
            x = Through([x], given => block.Feed(
                block.Self.Around(given[0], before, x => block.Self.Mix(x, source, null, source.Whole)), before, activation));
        return encoder.Norm?.Forward(x) ?? x;
    }

    private Tensor ReadSource(
        Block block,
        Tensor x,
        Tensor? read,
        Batch batch,
        KeyValueCache? cache)
    {
        var cross = block.Cross!;
        var query = cross.Split(cross.Query.Forward(x));
        var plane = Sizes.Layers + cross.Place.Layer;
        Tensor mixed;
        if (read is null) mixed = cache!.ReadSource(plane, batch, query, cross.Place.Form);
        else
        {
            Tensor key = cross.Split(cross.Key.Forward(read)), value = cross.Split(cross.Value.Forward(read));
            cache?.StoreSource(plane, batch, key, value);
            mixed = RaggedAttention.Of(
                query,
                key,
                value,
                Reach.Whole(batch.Offsets, batch.Source!.Offsets),
                cross.Place.Form);
        }
        return cross.Output.Forward(mixed.view(x.size(0), -1));
    }

    private sealed record StackSizes(
        int Hidden,
        int Inner,
        int Heads,
        int Layers,
        int Context,
        bool Reads,
        bool Before,
        bool Sinusoids);

    private sealed class Stack
    {
        private readonly Weight positions;
        private readonly Norm? first;
        private readonly int offset;

        internal Stack(ModelParts parts, string prefix, StackSizes sizes)
        {
            // Learned positions begin with two rows that no place has.
            offset = sizes.Sinusoids ? 0 : 2;
            var name = prefix + "embed_positions.weight";
            positions = sizes.Sinusoids ? parts.Fixed(
                name,
                sizes.Context,
                sizes.Hidden) : parts.Weight(name, sizes.Context + offset, sizes.Hidden);
            if (!sizes.Sinusoids) first = parts.Norm(NormKind.Layer, prefix + "layernorm_embedding", sizes.Hidden, 1e-5);
            Blocks = [.. Enumerable.Range(0, sizes.Layers).Select(layer => new Block(parts, $"{prefix}layers.{layer}.", layer, sizes))];
            if (sizes.Before) Norm = parts.Norm(NormKind.Layer, prefix + "layer_norm", sizes.Hidden, 1e-5);
        }

        internal Block[] Blocks { get; }

        internal Norm? Norm { get; }

        internal Tensor Enter(TokenTable tokens, Batch batch, int padding)
        {
            var context = positions.Shape[0] - offset;
            if (batch.Positions.Max() >= context)
                throw new InputException($"A row has {batch.Positions.Max() + 1} tokens, the model's context {context}. Cut or split it.");
            using var places = tensor(Array.ConvertAll(batch.Positions, place => (long)place + offset), device: positions.Value.device);
            var words = tokens.Embed(batch.Ids);
            // The vector of padding is read, for PEGASUS begins its answers with it, but it is not trained (PyTorch's padding_idx).
            if (batch.TokenIds.Contains(padding)) words = where(batch.Ids.eq(padding).unsqueeze(1), words.detach(), words);
            var x = words + positions.Value.index_select(0, places);
            return first?.Forward(x) ?? x;
        }
    }

    // Attention with its norm, which stands before or after it.
    private sealed class Attention(
        ModelParts parts,
        string prefix,
        string norm,
        int layer,
        StackSizes sizes)
    {
        internal AttentionPlace Place { get; } = new(layer, new AttentionForm(1 / Math.Sqrt(sizes.Hidden / sizes.Heads)));

        internal Projection Key { get; } = Map(
            parts,
            prefix + "k_proj",
            Role.Key,
            layer,
            sizes.Hidden);

        internal Projection Value { get; } = Map(
            parts,
            prefix + "v_proj",
            Role.Value,
            layer,
            sizes.Hidden);

        internal Projection Query { get; } = Map(
            parts,
            prefix + "q_proj",
            Role.Query,
            layer,
            sizes.Hidden);

        internal Projection Output { get; } = Map(
            parts,
            prefix + "out_proj",
            Role.Output,
            layer,
            sizes.Hidden);

        private readonly Norm norm = parts.Norm(NormKind.Layer, norm, sizes.Hidden, 1e-5);

        private static Projection Map(
            ModelParts parts,
            string name,
            Role role,
            int layer,
            int width) => parts.Linear(
                name,
                role,
                layer,
                width,
                width,
                bias: true);

        internal Tensor Split(Tensor x) => x.view(-1, sizes.Heads, sizes.Hidden / sizes.Heads);

        internal Tensor Around(
            Tensor x,
            bool before,
            Func<Tensor, Tensor> mix) => before ? x + mix(norm.Forward(x)) : norm.Forward(x + mix(x));

        internal Tensor Mix(Tensor x, Batch batch, KeyValueCache? cache, Reach? reach = null) => Output.Forward(Place.Attend(
            batch,
            Split(Query.Forward(x)),
            Split(Key.Forward(x)),
            Split(Value.Forward(x)),
            cache,
            reach));
    }

    private sealed class Block(ModelParts parts, string prefix, int layer, StackSizes sizes)
    {
        private readonly Projection up = parts.Linear(
            prefix + "fc1",
            Role.Up,
            layer,
            sizes.Inner,
            sizes.Hidden,
            bias: true);
        private readonly Projection down = parts.Linear(
            prefix + "fc2",
            Role.Down,
            layer,
            sizes.Hidden,
            sizes.Inner,
            bias: true);
        private readonly Norm last = parts.Norm(NormKind.Layer, prefix + "final_layer_norm", sizes.Hidden, 1e-5);

        internal Attention Self { get; } = new(
            parts,
            prefix + "self_attn.",
            prefix + "self_attn_layer_norm",
            layer,
            sizes);

        internal Attention? Cross { get; } = sizes.Reads ? new(
            parts,
            prefix + "encoder_attn.",
            prefix + "encoder_attn_layer_norm",
            layer,
            sizes) : null;

        internal Tensor Feed(Tensor x, bool before, Activation activation)
        {
            Tensor Inner(Tensor of) => down.Forward(activation.Forward(up.Forward(of)));
            return before ? x + Inner(last.Forward(x)) : last.Forward(x + Inner(x));
        }
    }
}
