using Polymath.Models;
using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Low-rank adaptation of all experts of a layer together, as PEFT does it for the experts that transformers stores as one stack
/// (<c>target_parameters</c>): A [experts·r, in] has each expert's r rows one after the other; in B [out, r·experts] the experts' columns
/// are interleaved. An expert's gate and up maps, which are separate maps here, get their shares of B's rows. Where PEFT takes the output's
/// dimension for the input's (Llama 4), A is [experts·r, out] and B [in, r·experts], and the change is their product's transpose.
/// </summary>
public sealed class LoraExperts : AddedDelta
{
    /// <summary>PEFT's setting that names the stacks.</summary>
    internal const string Key = "target_parameters";

    private readonly Weight a, b;
    private readonly StackPlace place;
    private readonly long rank;
    private readonly double scale;
    private readonly DeltaSwitch state;

    private LoraExperts(
        Weight a,
        Weight b,
        StackPlace place,
        long rank,
        double scale,
        DeltaSwitch state) =>
        (this.a, this.b, this.place, this.rank, this.scale, this.state, Weights) = (a, b, place, rank, scale, state, [a, b]);

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    private Tensor First => a.Value.narrow(0, place.Expert * rank, rank);

    private Tensor Second
    {
        get
        {
            var rows = b.Value.size(0) / place.Parts;
            return b.Value.narrow(0, place.Part * rows, rows).view(rows, rank, -1).select(2, place.Expert);
        }
    }

    private Tensor A => place.IsSwapped ? Second.t() : First;                                               // [r, in]

    private Tensor B => place.IsSwapped ? First.t() : Second;                                               // [out, r]

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        var y = inner(x);
        return state.On ? addmm(
            y,
            nn.functional.linear(x, A),
            B.t(),
            1f,
            (float)scale) : y;
    }

    /// <inheritdoc/>
    public override Tensor Change() => B.mm(A) * scale;

    /// <summary>Attaches the deltas that <c>target_parameters</c> names: whole names of stacks, or the ends of their names.</summary>
    /// <param name="parts">The parts of the adapter.</param>
    /// <param name="size">The rank and the scale of a name.</param>
    internal static void Attach(DeltaParts parts, Func<string, (int Rank, double Scale)> size)
    {
        var names = parts.Configuration.Texts(Key);
        if (names.Count == 0) return;
        foreach (var setting in new[] { "use_dora", "lora_bias" })
            if (parts.Configuration.Flag(setting)) throw parts.Fault(setting, $"{Key} has no such form; leave one of the two out");
        if (parts.Configuration.Number("lora_dropout", 0) > 0)
            throw parts.Fault("lora_dropout", $"{Key} changes weights, whose inputs cannot be dropped; leave one of the two out");
        if (parts.IsFresh && (parts.Configuration.Text("init_lora_weights") ?? "true") != "true")
            throw parts.Fault("init_lora_weights", $"{Key} has only one initialization; leave one of the two out");
        var stacks = parts.Model.Projections.Where(map => map.Stack is not null).GroupBy(map => map.Stack!.Name)
            .Where(stack => names.Any(name => AdapterConfiguration.Means(name, stack.Key))).ToList();
        if (names.FirstOrDefault(name => !stacks.Exists(stack => AdapterConfiguration.Means(name, stack.Key))) is { } strange)
            throw parts.Fault(
                Key, $"{strange} is not a stack of experts of a {parts.Model.Configuration["model_type"]}, which has "
                    + (Names(parts.Model.Projections) is { Count: > 0 } known ? string.Join(" and ", known) : "none")
                    + "; name a linear map in target_modules");
        foreach (var layer in stacks.GroupBy(stack => Module(stack.Key)))
        {
            // PEFT nests wrappers: the first one, for gate and up, is the innermost.
            var ordered = layer.OrderBy(stack => stack.First().Stack!.Parts == 1).ToList();
            for (var i = 0; i < ordered.Count; i++)
                Plug(parts, [.. ordered[i]], layer.Key + string.Concat(Enumerable.Repeat(".base_layer", ordered.Count - 1 - i)), size(
                    ordered[i].Key));
        }
    }

    private static void Plug(DeltaParts parts, List<Projection> maps, string name, (int Rank, double Scale) size)
    {
        var (rank, scale) = size;
        var experts = maps.Max(map => map.Stack!.Expert) + 1;
        long from = maps[0].InputWidth, to = maps[0].OutputWidth * maps[0].Stack!.Parts;
        if (maps[0].Stack!.IsSwapped) (from, to) = (to, from);
        Weight a = parts.Weight(
            name,
            "lora_A.weight",
            Start.Kaiming(from),
            (long)rank * experts,
            from),
            b = parts.Weight(
                name,
                "lora_B.weight",
                Start.Zero,
                to,
                (long)rank * experts);
        foreach (var map in maps)
            parts.Plug(map, new LoraExperts(
                a,
                b,
                map.Stack!,
                rank,
                scale,
                parts.State));
    }

    /// <summary>The ends of the names of the stacks that maps lie in, as <c>target_parameters</c> names them.</summary>
    /// <param name="maps">The maps.</param>
    internal static IReadOnlyList<string> Names(IEnumerable<Projection> maps) =>
        [.. maps.Select(map => map.Stack?.Name).OfType<string>().Select(End).Distinct(StringComparer.Ordinal)];

    private static string End(string stack) => string.Join('.', stack.Split('.')[^2..]);

    private static string Module(string stack) => stack[..stack.LastIndexOf('.')];
}
