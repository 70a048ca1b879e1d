using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>The properties of a layer that attention needs.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Form">How scores become weights.</param>
/// <param name="Window">The window, or 0 for none.</param>
public sealed record AttentionPlace(int Layer, AttentionForm Form, int Window = 0)
{
    /// <summary>A row is cut into chunks of this length, and a token sees its own chunk only; 0 for whole rows (Llama 4).</summary>
    public int Chunk { get; init; }

    /// <summary>Whether the layer rotates queries and keys.</summary>
    public bool Rotates { get; init; } = true;

    /// <summary>The socket for learned vectors that the tokens attend to in addition, or null where the family places it itself.</summary>
    public AttentionSocket? Socket { get; init; }

    /// <summary>Attention over a batch's rows, or over a cache: [tokens, heads·D].</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="query">[tokens, heads, D].</param>
    /// <param name="key">[tokens, keyValueHeads, D].</param>
    /// <param name="value">[tokens, keyValueHeads, D].</param>
    /// <param name="cache">The cache of earlier tokens, or null.</param>
    /// <param name="reach">The tokens of its row that a token sees; null for those before it.</param>
    /// <param name="bias">A bias by distance, or null.</param>
    /// <param name="map">For the socket: keys and values, each [n, keyValueHeads, D], of vectors [n, hidden], without a position.</param>
    public Tensor Attend(
        Batch batch,
        Tensor query,
        Tensor key,
        Tensor value,
        KeyValueCache? cache,
        Reach? reach = null,
        DistanceBias? bias = null,
        Func<Tensor, (Tensor Key, Tensor Value)>? map = null)
    {
        ArgumentNullException.ThrowIfNull(batch);
        (key, value) = Prompted(batch, key, value);
        // Parts of a fused map are strided views; the kernels need contiguous tensors.
        (query, key, value) = (query.contiguous(), key.contiguous(), value.contiguous());
        var mixed = cache is null
            ? RaggedAttention.Of(
                query,
                key,
                value,
                reach ?? batch.Causal(Window, Chunk),
                Form,
                bias)
            : cache.Attend(
                this,
                batch,
                query,
                key,
                value,
                reach,
                bias);
        mixed = mixed.view(mixed.size(0), -1);
        return Socket is null || map is null ? mixed : Socket.Add(mixed, query, map);
    }

    /// <summary>Keys and values, with those of a prompt in place of those of its virtual tokens.</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="key">[tokens, keyValueHeads, D].</param>
    /// <param name="value">[tokens, keyValueHeads, D].</param>
    internal (Tensor Key, Tensor Value) Prompted(Batch batch, Tensor key, Tensor value)
    {
        if (batch.Prompt is not { } prompt) return (key, value);
        var (keys, values) = prompt.KeysAndValues(Layer);
        return (
            key.index_copy(0, batch.VirtualPlaces!, keys.repeat(batch.Rows, 1, 1)),
            value.index_copy(0, batch.VirtualPlaces!, values.repeat(batch.Rows, 1, 1)));
    }
}

/// <summary>The sizes of a layer's attention.</summary>
/// <param name="Hidden">The width of the residual stream.</param>
/// <param name="Heads">The query heads.</param>
/// <param name="KeyValueHeads">The key and value heads that they share in groups.</param>
/// <param name="HeadWidth">The width of a head.</param>
public sealed record AttentionSizes(int Hidden, int Heads, int KeyValueHeads, int HeadWidth)
{
    /// <summary>The sizes from a configuration.</summary>
    /// <param name="read">The configuration.</param>
    /// <param name="keyValueHeads">The key and value heads where the key is missing; null for as many as heads.</param>
    /// <param name="headWidth">The width of a head where the key is missing; null for the heads' share of the hidden width.</param>
    public static AttentionSizes Of(ConfigReader read, int? keyValueHeads = null, int? headWidth = null)
    {
        ArgumentNullException.ThrowIfNull(read);
        int hidden = read.Int("hidden_size"), heads = read.Int("num_attention_heads");
        // A null key has the meaning of the first files: every head has its own keys.
        int shared = read.Has("num_key_value_heads") ? heads : keyValueHeads ?? heads,
            width = read.Has("head_dim") ? hidden / heads : headWidth ?? hidden / heads;
        return new AttentionSizes(hidden, heads, read.Int("num_key_value_heads", shared), read.Int("head_dim", width)).Checked();
    }

    /// <summary>These sizes, if they are valid.</summary>
    /// <exception cref="InputException">The heads cannot share key-value heads, or their width is odd.</exception>
    public AttentionSizes Checked() => Heads % KeyValueHeads == 0 && HeadWidth > 0 && HeadWidth % 2 == 0
        ? this
        : throw new InputException($"config.json: {Heads} heads cannot share {KeyValueHeads} key-value heads of width {HeadWidth}; the "
            + "first must be a multiple of the second, the width even.");
}

/// <summary>What a family's attention has besides maps, groups and rotary positions.</summary>
public sealed record AttentionTraits
{
    /// <summary>Whether query, key and value have biases.</summary>
    public bool InputBias { get; init; }

    /// <summary>Whether the output has one.</summary>
    public bool OutputBias { get; init; }

    /// <summary>The name of the output map.</summary>
    public string Output { get; init; } = "o_proj";

    /// <summary>A norm of queries [tokens, heads, D], or null.</summary>
    public Func<Tensor, Tensor>? QueryNorm { get; init; }

    /// <summary>A norm of keys [tokens, keyValueHeads, D]; not null where that of queries is not.</summary>
    public Func<Tensor, Tensor>? KeyNorm { get; init; }

    /// <summary>Whether the norms follow the rotation, instead of the other way round.</summary>
    public bool NormsAfterTurn { get; init; }

    /// <summary>A learned logit of each head [heads] that joins the softmax and whose share is dropped (gpt-oss), or null.</summary>
    public Weight? Sinks { get; init; }

    /// <summary>The largest absolute value of queries, keys and values; 0 for no limit (OLMo).</summary>
    public double Clip { get; init; }
}

/// <summary>
/// Self-attention with separate maps for query, key and value, grouped queries and rotary positions, as in Llama and later families.
/// </summary>
public sealed class GroupedAttention
{
    private readonly AttentionSizes sizes;
    private readonly Projection query, key, value, output;
    private readonly Norm? queryNorm, keyNorm;
    private readonly AttentionTraits traits;
    private readonly AttentionSocket socket;

    /// <summary>Gets the weights <c>q_proj</c>, <c>k_proj</c>, <c>v_proj</c> and <c>o_proj</c> under a prefix.</summary>
    /// <param name="parts">The model's parts.</param>
    /// <param name="prefix">The prefix of the names.</param>
    /// <param name="sizes">The sizes.</param>
    /// <param name="place">The layer.</param>
    /// <param name="inputBias">Whether query, key and value have biases.</param>
    /// <param name="outputBias">Whether the output has one.</param>
    /// <param name="headNorms">The ε of norms over each head of queries and keys, or null for none (Qwen 3).</param>
    public GroupedAttention(
        ModelParts parts,
        string prefix,
        AttentionSizes sizes,
        AttentionPlace place,
        bool inputBias = false,
        bool outputBias = false,
        double? headNorms = null)
        : this(
            parts,
            prefix,
            sizes,
            place,
            new AttentionTraits { InputBias = inputBias, OutputBias = outputBias })
    {
        if (headNorms is not { } epsilon) return;
        queryNorm = parts.Norm(NormKind.Rms, prefix + "q_norm", sizes.HeadWidth, epsilon);
        keyNorm = parts.Norm(NormKind.Rms, prefix + "k_norm", sizes.HeadWidth, epsilon);
    }

    /// <summary>Gets the weights under a prefix.</summary>
    /// <param name="parts">The model's parts.</param>
    /// <param name="prefix">The prefix of the names.</param>
    /// <param name="sizes">The sizes.</param>
    /// <param name="place">The layer.</param>
    /// <param name="traits">What the family's attention has of its own.</param>
    public GroupedAttention(
        ModelParts parts,
        string prefix,
        AttentionSizes sizes,
        AttentionPlace place,
        AttentionTraits traits)
    {
        ArgumentNullException.ThrowIfNull(parts);
        ArgumentNullException.ThrowIfNull(sizes);
        ArgumentNullException.ThrowIfNull(place);
        ArgumentNullException.ThrowIfNull(traits);
        (this.sizes, this.traits, Place) = (sizes, traits, place);
        bool inputBias = traits.InputBias, outputBias = traits.OutputBias;
        int inner = sizes.Heads * sizes.HeadWidth, shared = sizes.KeyValueHeads * sizes.HeadWidth;
        query = parts.Linear(
            prefix + "q_proj",
            Role.Query,
            place.Layer,
            inner,
            sizes.Hidden,
            inputBias);
        key = parts.Linear(
            prefix + "k_proj",
            Role.Key,
            place.Layer,
            shared,
            sizes.Hidden,
            inputBias);
        value = parts.Linear(
            prefix + "v_proj",
            Role.Value,
            place.Layer,
            shared,
            sizes.Hidden,
            inputBias);
        socket = parts.Attention(prefix.TrimEnd('.'), place.Layer);
        output = parts.Linear(
            prefix + traits.Output,
            Role.Output,
            place.Layer,
            sizes.Hidden,
            inner,
            outputBias);
    }

    /// <summary>The layer's properties.</summary>
    public AttentionPlace Place { get; set; }

    /// <summary>Whether all sockets are empty.</summary>
    internal bool IsPlain => query.IsPlain && key.IsPlain && value.IsPlain && output.IsPlain && socket.IsPlain
        && traits is { QueryNorm: null, Sinks: null, Clip: 0 } && Place is { Chunk: 0, Rotates: true };

    /// <summary>The four maps.</summary>
    internal (BlockMap Query, BlockMap Key, BlockMap Value, BlockMap Output) Maps => (query.Map, key.Map, value.Map, output.Map);

    /// <summary>The norms over heads, or null.</summary>
    internal (Norm Query, Norm Key)? HeadNorms => queryNorm is null ? null : (queryNorm, keyNorm!);

    /// <summary>Maps x [tokens, hidden] to [tokens, hidden].</summary>
    /// <param name="x">The input.</param>
    /// <param name="batch">The rows.</param>
    /// <param name="turns">The rotary angles.</param>
    /// <param name="cache">The cache of earlier tokens, or null.</param>
    /// <param name="factors">A factor of each token's queries [tokens, 1, 1], or null.</param>
    public Tensor Forward(
        Tensor x,
        Batch batch,
        RotaryAngles turns,
        KeyValueCache? cache,
        Tensor? factors = null)
    {
        ArgumentNullException.ThrowIfNull(turns);
        var maps = Projection.Together(x, query, key, value);
        if (traits.Clip > 0) maps = Array.ConvertAll(maps, map => map.clamp(-traits.Clip, traits.Clip));
        var q = maps[0].view(-1, sizes.Heads, sizes.HeadWidth);                         // [tokens, heads, D]
        var k = maps[1].view(-1, sizes.KeyValueHeads, sizes.HeadWidth);                 // [tokens, keyValueHeads, D]
        var v = maps[2].view(-1, sizes.KeyValueHeads, sizes.HeadWidth);
        if (queryNorm is not null) (q, k) = (queryNorm.ForwardHeads(q), keyNorm!.ForwardHeads(k));
        if (!traits.NormsAfterTurn) (q, k) = Normalised(q, k);
        if (Place.Rotates) (q, k) = (turns.Apply(q), turns.Apply(k));
        if (traits.NormsAfterTurn) (q, k) = Normalised(q, k);
        if (factors is not null) q = q * factors;
        var mixed = traits.Sinks is null
            ? Place.Attend(
                batch,
                q,
                k,
                v,
                cache)
            : RowAttention.Of(
                Place,
                batch,
                q,
                k,
                v,
                cache,
                new RowBias(Sinks: traits.Sinks.Value));
        return output.Forward(socket.Add(mixed, q, KeysAndValues));
    }

    private (Tensor Query, Tensor Key) Normalised(Tensor q, Tensor k) =>
        traits.QueryNorm is null ? (q, k) : (traits.QueryNorm(q), traits.KeyNorm!(k));

    // Keys and values of vectors without a position.
    private (Tensor Key, Tensor Value) KeysAndValues(Tensor vectors)
    {
        var k = key.Forward(vectors).view(-1, sizes.KeyValueHeads, sizes.HeadWidth);
        return (traits.KeyNorm?.Invoke(k) ?? keyNorm?.ForwardHeads(k) ?? k, value.Forward(vectors).view(
            -1,
            sizes.KeyValueHeads,
            sizes.HeadWidth));
    }
}
