using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>
/// A mixture of experts (Shazeer et al. 2017): a router chooses a few blocks for each token; their outputs are weighted by the router's
/// probabilities.
/// </summary>
/// <param name="place">The layer, and the model's record of its routers.</param>
/// <param name="route">For x [tokens, hidden], the chosen blocks and their weights.</param>
/// <param name="count">How many blocks there are.</param>
/// <param name="apply">The output of a block, by its number, for the tokens that go through it.</param>
public sealed class Experts(
    (int Layer, RouterRecord Record) place,
    Func<Tensor, Routed> route,
    int count,
    Func<int, Tensor, Tensor> apply)
{
    /// <summary>A mixture of blocks with maps of their own.</summary>
    /// <param name="place">The layer, and the model's record of its routers.</param>
    /// <param name="route">The routing.</param>
    /// <param name="blocks">The blocks.</param>
    public Experts((int Layer, RouterRecord Record) place, Func<Tensor, Routed> route, IReadOnlyList<GatedFeedForward> blocks)
        : this(
            place,
            route,
            blocks.Count,
            (expert, x) => blocks[expert].Forward(x))
    {
    }

    /// <summary>A mixture of blocks that lie in stacks.</summary>
    /// <param name="place">The layer, and the model's record of its routers.</param>
    /// <param name="route">The routing.</param>
    /// <param name="stack">The blocks.</param>
    public Experts((int Layer, RouterRecord Record) place, Func<Tensor, Routed> route, ExpertStack stack)
        : this(
            place,
            route,
            stack.Count,
            stack.Forward) => stacks = [.. stack.Weights];

    private readonly Weight[] stacks = [];
    private readonly RouterRecord record = place.Record.Known();

    /// <summary>Whether a weight multiplies what its block reads instead of what it gives (Llama 4).</summary>
    public bool WeighsInput { get; init; }

    /// <summary>Maps x [tokens, hidden] to [tokens, hidden].</summary>
    /// <param name="x">The input.</param>
    public Tensor Forward(Tensor x) => Forward(x, x);

    /// <summary>Maps x [tokens, hidden] to [tokens, hidden], chosen by another view of the tokens.</summary>
    /// <param name="x">What the blocks read.</param>
    /// <param name="seen">What the router reads.</param>
    public Tensor Forward(Tensor x, Tensor seen)
    {
        ArgumentNullException.ThrowIfNull(x);
        var routed = route(seen);
        var chosen = (int)routed.Indices.size(1);
        var (order, counts) = Grouped(routed.Indices.cpu().contiguous().data<long>().ToArray(), count);
        record.Add(place.Layer, routed, counts);
        var at = tensor(order, device: x.device);
        var tokens = tensor(Array.ConvertAll(order, place => place / chosen), device: x.device);
        // The rows of each expert lie together, so that each block is one product.
        var weight = routed.Weights.flatten().index_select(0, at).unsqueeze(1);
        var read = x.index_select(0, tokens);
        if (WeighsInput) read = read * weight;
        var all = Applied(read, counts);
        return zeros_like(x).index_add(0, tokens, WeighsInput ? all : all * weight, 1);
    }

    private Tensor Applied(Tensor read, int[] counts)
    {
        var cut = Array.ConvertAll(stacks, stack => stack.Cut());
        try
        {
            var given = new List<Tensor>();
            var first = 0;
            for (var expert = 0; expert < count; first += counts[expert++])
                if (counts[expert] > 0) given.Add(apply(expert, read.narrow(0, first, counts[expert])));
            return cat(given, 0);
        }
        finally
        {
            foreach (var one in cut) one?.Dispose();
        }
    }

    // The choices (token·chosen + rank) ordered by their experts, and how many each expert has.
    private static (long[] Order, int[] Counts) Grouped(long[] experts, int count)
    {
        var counts = new int[count];
        foreach (var expert in experts) counts[expert]++;
        var next = new int[count];
        for (var expert = 1; expert < count; expert++) next[expert] = next[expert - 1] + counts[expert - 1];
        var order = new long[experts.Length];
        for (var place = 0; place < experts.Length; place++) order[next[experts[place]]++] = place;
        return (order, counts);
    }

    /// <summary>
    /// The blocks of a layer whose files name each expert's maps; transformers stacks them in memory, with gate and up in one, and some
    /// files have this form.
    /// </summary>
    /// <param name="parts">The model's parts.</param>
    /// <param name="prefix">The prefix of the experts' names, before their numbers.</param>
    /// <param name="stack">The prefix of the stacks' names.</param>
    /// <param name="maps">The names of gate, up and down.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="hidden">The outer width.</param>
    /// <param name="inner">The inner width.</param>
    /// <param name="activation">The activation.</param>
    public static IReadOnlyList<GatedFeedForward> Blocks(
        ModelParts parts,
        string prefix,
        string stack,
        (string Gate, string Up, string Down) maps,
        int count,
        int layer,
        int hidden,
        int inner,
        Activation activation)
    {
        ArgumentNullException.ThrowIfNull(parts);
        Projection Map(int expert, string name, Role role) => parts.Expert(
            $"{prefix}{expert}.{name}",
            stack + (role == Role.Down ? "down_proj" : "gate_up_proj"),
            expert,
            role == Role.Up ? 1 : 0,
            role == Role.Down ? 1 : 2,
            role,
            layer,
            role == Role.Down ? hidden : inner,
            role == Role.Down ? inner : hidden);
        return [.. Enumerable.Range(0, count).Select(expert => GatedFeedForward.Of(
            Map(expert, maps.Gate, Role.Gate),
            Map(expert, maps.Up, Role.Up),
            Map(expert, maps.Down, Role.Down),
            activation))];
    }
}
