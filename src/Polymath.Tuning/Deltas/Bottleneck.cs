using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// A bottleneck adapter in the unified view of He et al. (2022): Δh = U·f(D·x + d) + u. Sequential: x is the block's output (Houlsby et
/// al. 2019 after attention and feed-forward, Pfeiffer et al. 2021 after feed-forward only). Parallel: x is the block's input. Multihead:
/// the same before the output map, each head with a share of the bottleneck. The result is h + s·Δh or, gated, (1 − λ)h + λΔh with a
/// trained λ. U and λ start at zero.
/// </summary>
public sealed class Bottleneck : Delta
{
    /// <summary>The kind's name in our files; PEFT has no such kind.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Adapter,
        "POLYMATH_BOTTLENECK",
        ["bottleneck", "activation", "insertion", "scale", "learned_scale", "composition", "phm_dim", "phm_rank"],
        Attach)
    {
        SizeKey = "bottleneck",
        Roles = [Socket.Output, Socket.Down],
        Idle =
        [
            new(
                "phm_rank",
                configuration => configuration.Whole("phm_dim", 0, least: 0) == 0,
                "it belongs to phm_dim, which makes the adapter Compacter"),
            new(
                "scale",
                configuration => configuration.Text("composition") == "gated",
                "a gated adapter is weighed by its gate; leave it out, or use composition: add"),
            new(
                "learned_scale",
                configuration => configuration.Text("composition") == "gated",
                "a gated adapter is weighed by its gate; leave it out, or use composition: add"),
        ],
    };

    private readonly InnerMap down, up;
    private readonly Weight? factor;
    private readonly Activation activation;
    private readonly Tap? tap;
    private readonly DeltaSwitch state;
    private readonly string insertion;
    private readonly double scale;
    private readonly bool gated;

    private Bottleneck(
        InnerMap down,
        InnerMap up,
        Weight? factor,
        Activation activation,
        Tap? tap,
        (string Insertion, double Scale, bool Gated) form,
        DeltaSwitch state)
    {
        (this.down, this.up, this.factor, this.activation, this.tap, this.state) = (down, up, factor, activation, tap, state);
        (insertion, scale, gated) = form;
        Weights = factor is null ? [.. down.Weights, .. up.Weights] : [.. down.Weights, .. up.Weights, factor];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override bool Merges => false;

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        if (!state.On) return inner(x);
        if (insertion == "multihead") return inner(Compose(x, tap!.Seen));
        var h = inner(x);
        return Compose(h, tap is null ? h : tap.Seen);
    }

    private Tensor Compose(Tensor h, Tensor read)
    {
        var change = up.Of(activation.Forward(down.Of(read)));
        if (gated) return h * (1 - factor!.Value) + change * factor.Value;
        return h + (factor is null ? change * scale : change * factor.Value);
    }

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        var size = configuration.Whole("bottleneck", 16);
        var insertion = configuration.Text("insertion") ?? "sequential";
        if (insertion is not ("sequential" or "parallel" or "multihead"))
            throw configuration.Fault("insertion", "known are \"sequential\", \"parallel\" and \"multihead\"");
        var gated = IsGated(configuration);
        var learned = configuration.Flag("learned_scale");
        var scale = configuration.Number("scale", 1);
        var named = configuration.Text("activation") ?? "relu";
        if (!Activation.Names.Contains(named)) throw configuration.Fault("activation", $"known are {string.Join(", ", Activation.Names)}");
        var activation = new Activation(named);
        var rule = InnerMap.Rule(parts);
        var taps = new Dictionary<Projection, Tap>();
        foreach (var target in parts.Targets)
        {
            if (target.Role is not (Role.Output or Role.Down))
                throw new InputException($"{configuration.Origin}: an adapter comes after a block, and {target.Name} does not end one. "
                    + "Target attention's output or the down map (roles: output, down).");
            var tap = insertion == "sequential" ? null : Read(parts, target, taps);
            long output = insertion == "multihead" ? target.InputWidth : target.OutputWidth, input = tap?.Width ?? output;
            var heads = insertion == "multihead" && target.Role == Role.Output ? parts.Model.Sizes.Heads : 1;
            if (insertion == "multihead" && target.Role != Role.Output)
                throw new InputException($"{configuration.Origin}: only attention has heads; {target.Name} has none. Target roles: "
                    + "output.");
            if (size % heads != 0) throw configuration.Fault("bottleneck", $"a multiple of the {heads} heads is needed");
            parts.Plug(target, new Bottleneck(
                InnerMap.Make(
                    parts,
                    target.Name,
                    "adapter_down",
                    size,
                    input,
                    1,
                    zero: false,
                    rule),
                InnerMap.Make(
                    parts,
                    target.Name,
                    "adapter_up",
                    output,
                    size,
                    heads,
                    zero: true,
                    rule),
                (gated, learned) switch
                {
                    (true, _) => parts.Weight(target.Name, "adapter_gate", Start.Zero, 1),
                    (_, true) => parts.Weight(target.Name, "adapter_scale", new Start(scale), 1),
                    _ => null,
                },
                activation,
                tap,
                (insertion, scale, gated),
                parts.State));
        }
    }

    private static bool IsGated(AdapterConfiguration configuration) => (configuration.Text("composition") ?? "add") switch
    {
        "add" => false,
        "gated" => true,
        _ => throw configuration.Fault("composition", "known are \"add\" and \"gated\""),
    };

    // The block's input is its first map's input: the map of the right role with the nearest name.
    private static Tap Read(DeltaParts parts, Projection target, Dictionary<Projection, Tap> taps)
    {
        Role[] roles = target.Role == Role.Output ? [Role.Query, Role.QueryKeyValue] : [Role.Gate, Role.GateUp, Role.Up];
        static int Shared(string a, string b) => a.Zip(b).TakeWhile(pair => pair.First == pair.Second).Count();
        var first = parts.Model.Projections.Where(map => map.Layer == target.Layer && roles.Contains(map.Role))
            .OrderByDescending(map => Shared(map.Name, target.Name)).ThenBy(map => Array.IndexOf(roles, map.Role)).First();
        if (taps.TryGetValue(first, out var known)) return known;
        var tap = new Tap(first.InputWidth);
        parts.Plug(first, tap);
        return taps[first] = tap;
    }

    // Gives a map's input to an adapter that is parallel to its block.
    private sealed class Tap(long width) : Delta
    {
        internal long Width => width;

        internal Tensor Seen { get; private set; } = null!;

        public override IReadOnlyList<Weight> Weights => [];

        public override bool Merges => false;

        public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
        {
            Seen = x;
            return inner(x);
        }
    }
}

/// <summary>
/// A map inside an adapter: dense, one block for each head, or a sum of n Kronecker products of small factors (a PHM layer: Zhang et al.
/// 2021), where all layers share the outer factors, and the inner factors are of low rank (Compacter: Karimi Mahabadi et al. 2021, eq. 8).
/// </summary>
internal sealed class InnerMap
{
    private readonly Func<Tensor> matrix;
    private readonly Weight bias;
    private readonly long heads;

    private InnerMap(Func<Tensor> matrix, Weight bias, IReadOnlyList<Weight> own, long heads) =>
        (this.matrix, this.bias, Weights, this.heads) = (matrix, bias, [.. own, bias], heads);

    internal IReadOnlyList<Weight> Weights { get; }

    internal Tensor Of(Tensor x)
    {
        if (heads == 1) return nn.functional.linear(x, matrix(), bias.Value);
        // [heads, n, share] · [heads, share, D].
        var y = x.view(x.size(0), heads, -1).transpose(0, 1).bmm(matrix());
        return y.transpose(0, 1).reshape(x.size(0), -1) + bias.Value;
    }

    /// <summary>The outer factors [n, n, n] that all layers share, for Compacter.</summary>
    internal static Weight? Rule(DeltaParts parts)
    {
        var n = parts.Configuration.Whole("phm_dim", 0, least: 0);
        return n == 0 ? null : parts.Named("base_model.phm_rule", Start.Normal(0.1), [n, n, n]);
    }

    internal static InnerMap Make(
        DeltaParts parts,
        string module,
        string name,
        long output,
        long input,
        long heads,
        bool zero,
        Weight? rule)
    {
        var bias = parts.Weight(module, name + ".bias", Start.Zero, output);
        if (rule is null)
        {
            var start = zero ? Start.Zero : Start.Kaiming(input / heads);
            long[] shape = heads == 1 ? [output, input] : [heads, input / heads, output / heads];
            var weight = parts.Weight(module, name + ".weight", start, shape);
            return new InnerMap(() => weight.Value, bias, [weight], heads);
        }
        long n = rule.Value.size(0), rank = parts.Configuration.Whole("phm_rank", 1);
        if (heads > 1 || output % n != 0 || input % n != 0)
            throw parts.Fault("phm_dim", $"it must divide the widths {input} and {output} of {module}, and is not possible with multihead");
        Weight left = parts.Weight(
            module,
            name + ".left",
            zero ? Start.Zero : Start.Kaiming(rank),
            n,
            output / n,
            rank),
            right = parts.Weight(
                module,
                name + ".right",
                Start.Kaiming(input / n),
                n,
                rank,
                input / n);
        // Σ Aᵢ ⊗ (LᵢRᵢ): [n, n, n] with [n, out/n, in/n] gives [out, in].
        return new InnerMap(
            () => einsum("iab,icd->acbd", rule.Value, left.Value.bmm(right.Value)).reshape(output, input), bias, [left, right], 1);
    }
}
