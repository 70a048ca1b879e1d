using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>The roles of projections, with the same names in every family.</summary>
public enum Role
{
    /// <summary>Attention's query.</summary>
    Query,

    /// <summary>Attention's key.</summary>
    Key,

    /// <summary>Attention's value.</summary>
    Value,

    /// <summary>Attention's query, key and value in one map.</summary>
    QueryKeyValue,

    /// <summary>Attention's output.</summary>
    Output,

    /// <summary>The gate map of the feed-forward block.</summary>
    Gate,

    /// <summary>The up map of the feed-forward block.</summary>
    Up,

    /// <summary>The gate and up maps in one.</summary>
    GateUp,

    /// <summary>The down map of the feed-forward block.</summary>
    Down,

    /// <summary>The router of experts.</summary>
    Router,

    /// <summary>A map of an output head's own layers.</summary>
    Head,
}

/// <summary>The place of an expert's weight in the stack of all experts' weights, as transformers stores it in memory.</summary>
/// <param name="Name">The name of the stack.</param>
/// <param name="Expert">The expert.</param>
/// <param name="Part">Which part of the expert's rows.</param>
/// <param name="Parts">The number of parts.</param>
public sealed record StackPlace(string Name, int Expert, int Part, int Parts)
{
    /// <summary>Whether files hold the whole stack, too: the projection's weight is then the stack, and it uses its own part.</summary>
    public bool IsWhole { get; init; }

    /// <summary>Whether PEFT takes the stack's last dimension for the input's, although it is the output's (Llama 4).</summary>
    public bool IsSwapped { get; init; }
}

/// <summary>A linear map y = W·x + b with a socket for a <see cref="Delta"/>.</summary>
/// <param name="name">The module's name in files, without <c>.weight</c>.</param>
/// <param name="role">Its role.</param>
/// <param name="layer">The block that contains it.</param>
/// <param name="weight">W [out, in], or [in, out] when files hold it so; a whole stack has a dimension of experts before these.</param>
/// <param name="bias">b [out], or none; likewise.</param>
/// <param name="transposed">Whether the weight is stored as [in, out].</param>
/// <param name="stack">The place in a stack of experts, or null.</param>
public sealed class Projection(
    string name,
    Role role,
    int layer,
    Weight weight,
    Weight? bias,
    bool transposed = false,
    StackPlace? stack = null)
{
    private readonly int part = stack is { IsWhole: true } ? stack.Expert : -1;

    /// <summary>The module's name in files.</summary>
    public string Name { get; } = name;

    /// <summary>The projection's role.</summary>
    public Role Role { get; } = role;

    /// <summary>The block that contains it, from 0.</summary>
    public int Layer { get; } = layer;

    /// <summary>W [out, in], or [in, out] where <see cref="Transposed"/>; the whole stack where the place in it says so.</summary>
    public Weight Weight { get; internal set; } = weight;

    /// <summary>b [out], or null; the whole stack likewise.</summary>
    public Weight? Bias { get; } = bias;

    /// <summary>b [out] of this map alone, or null.</summary>
    public Tensor? BiasValues => part < 0 ? Bias?.Value : Bias?.Part(part);

    // W of this map alone, as it is stored.
    private Tensor Values => part < 0 ? Weight.Value : Weight.Part(part);

    /// <summary>Whether the weight is stored as [in, out] (GPT-2).</summary>
    public bool Transposed { get; } = transposed;

    /// <summary>The place in a stack of experts, or null.</summary>
    public StackPlace? Stack { get; } = stack;

    /// <summary>The width it maps from.</summary>
    public long InputWidth => Weight.Shape[^(Transposed ? 2 : 1)];

    /// <summary>The width it maps to.</summary>
    public long OutputWidth => Weight.Shape[^(Transposed ? 1 : 2)];

    /// <summary>The deltas in the socket; each wraps those before it.</summary>
    public IReadOnlyList<Delta> Deltas => deltas;

    private readonly List<Delta> deltas = [];

    /// <summary>Attaches a delta to the socket; it wraps the existing ones.</summary>
    /// <param name="delta">The delta.</param>
    public void Plug(Delta delta) => deltas.Add(delta);

    /// <summary>Detaches a delta from the socket.</summary>
    /// <param name="delta">The delta.</param>
    public void Unplug(Delta delta) => deltas.Remove(delta);

    /// <summary>Whether the map is exactly y = W·x + b, with W stored as [out, in].</summary>
    internal bool IsPlain => deltas.Count == 0 && (!Transposed || Weight.Quantized is not null);

    /// <summary>W and b.</summary>
    internal BlockMap Map => Weight.Quantized is { } few ? new(few, BiasValues) : new(Values, BiasValues);

    /// <summary>Maps x [tokens, in] to [tokens, out].</summary>
    /// <param name="x">The input.</param>
    public Tensor Forward(Tensor x) => Forward(x, deltas.Count, null);

    // x holds all tokens of the batch, or some of them with their places.
    private Tensor Forward(Tensor x, int through, Tensor? tokens)
    {
        if (through == 0) return Plain(x, withBias: true);
        var delta = deltas[through - 1];
        if (Among(delta.Places?.Tokens, tokens) is not { } places)
            return delta.Forward(this, x, inner => Forward(inner, through - 1, tokens));
        // All rows go through the inner map together. The delta gets only its own rows; only a delta that changes their input computes the
        // inner map again for them.
        var all = Forward(x, through - 1, tokens);
        if (places.numel() == 0) return all;
        var own = x.index_select(0, places);
        var among = tokens is null ? places : tokens.index_select(0, places);
        return all.index_copy(0, places, delta.Forward(
            this, own, inner => ReferenceEquals(inner, own) ? all.index_select(0, places) : Forward(inner, through - 1, among)));
    }

    private static Tensor? Among(Tensor? places, Tensor? tokens) =>
        places is null || tokens is null ? places : tokens.unsqueeze(1).eq(places.unsqueeze(0)).any(1).nonzero().squeeze(1);

    /// <summary>W·x + b or W·x, without deltas.</summary>
    /// <param name="x">The input.</param>
    /// <param name="withBias">Whether b is added.</param>
    public Tensor Plain(Tensor x, bool withBias)
    {
        var bias = withBias ? BiasValues : null;
        if (Weight.Quantized is { } few) return QuantizedProduct.Linear(x, few, bias);
        var values = Values;
        if (Transposed && !HalfProduct.Holds(values))
            return bias is null ? x.mm(values) : addmm(
                bias,
                x,
                values,
                1f,
                1f);
        return HalfProduct.Linear(x, Transposed ? values.t() : values, bias);
    }

    /// <summary>Maps x [tokens, in] by several projections.</summary>
    /// <param name="x">The input.</param>
    /// <param name="maps">The projections.</param>
    public static Tensor[] Together(Tensor x, params ReadOnlySpan<Projection> maps)
    {
        var plain = true;
        foreach (var map in maps) plain &= map.IsPlain;
        if (!plain)
        {
            var results = new Tensor[maps.Length];
            for (var i = 0; i < maps.Length; i++) results[i] = maps[i].Forward(x);
            return results;
        }
        var together = new BlockMap[maps.Length];
        for (var i = 0; i < maps.Length; i++) together[i] = maps[i].Map;
        return HalfProduct.Linear(x, together);
    }

    /// <summary>W as [out, in] in 32 bits, in whatever form it is stored.</summary>
    public Tensor Matrix() => Weight.Quantized?.Wide() ?? (Transposed ? Values.t() : Values).to(ScalarType.Float32);

    /// <summary>Sets W [out, in] and b [out].</summary>
    /// <param name="weight">W.</param>
    /// <param name="bias">b; ignored when the projection has none.</param>
    public void Assign(Tensor weight, Tensor? bias)
    {
        ArgumentNullException.ThrowIfNull(weight);
        Put(Weight, Transposed ? weight.t() : weight);
        if (bias is not null && Bias is not null) Put(Bias, bias);
    }

    private void Put(Weight where, Tensor values)
    {
        if (part < 0) where.Assign(values);
        else where.Assign(values, part);
    }
}
