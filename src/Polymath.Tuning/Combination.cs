using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tuning.Deltas;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>Low-rank adapters of one model joined into one adapter.</summary>
public static class Combination
{
    /// <summary>Joins adapters that are attached to a model.</summary>
    /// <param name="adapters">The adapters and their weights.</param>
    /// <param name="kind">The rule.</param>
    /// <param name="density">The share of elements that pruning keeps.</param>
    /// <param name="rank">The rank, where the rule cuts to one; the largest rank of the adapters when left out.</param>
    /// <param name="seed">The seed of the random dropping.</param>
    /// <param name="errors">For each module, the difference from the same rule applied to the dense changes, as a share of their
    /// norm.</param>
    /// <exception cref="InputException">The adapters are not low-rank, or cannot be added.</exception>
    public static LowRank Of(
        IReadOnlyList<(DeltaSet Set, double Weight)> adapters,
        CombineKind kind,
        double density,
        int? rank,
        long seed,
        out IReadOnlyDictionary<string, double> errors)
    {
        ArgumentNullException.ThrowIfNull(adapters);
        if (density is not (> 0 and <= 1))
            throw new InputException($"density is {density}; it is the share of elements that is kept, above 0 and up to 1.");
        foreach (var (set, _) in adapters)
            if (set.ChangesMore || set.Plugged.Count == 0
                || set.Plugged.Any(pair => pair.Delta is not Lora { Magnitude: null, Bias: null }))
                throw new InputException($"{set.Configuration.Origin}: only plain low-rank adapters of linear maps can be combined, and "
                    + $"this one is of the kind {set.Configuration.Type}{(set.Configuration.Type == "LORA" ? " and changes more" : "")}. "
                    + "Convert it first: polymath adapter convert.");
        using var frozen = no_grad();
        using var generator = new Generator((ulong)seed);
        var lost = new Dictionary<string, double>();
        var modules = adapters.SelectMany(pair => pair.Set.Plugged).GroupBy(pair => pair.Target).ToList();
        var largest = rank ?? modules.Max(group => group.Max(pair => (int)((Lora)pair.Delta).A.Value.size(0)));
        errors = lost;
        return LowRank.Of(result =>
        {
            foreach (var module in modules)
            {
                using var scope = NewDisposeScope();
                var parts = adapters.SelectMany(pair => pair.Set.Plugged.Where(plug => plug.Target == module.Key)
                    .Select(plug => new Part((Lora)plug.Delta, pair.Weight))).ToList();
                var (a, b) = Join(
                    module.Key,
                    parts,
                    kind,
                    density,
                    largest,
                    generator);
                result.Set(module.Key.Name, a, b);
                // Random dropping has no dense counterpart except the sum that it estimates.
                var dense = Rule(
                    [.. parts.Select(part => part.Lora.Change())],
                    [.. parts.Select(part => part.Weight)],
                    kind is CombineKind.DareLinear or CombineKind.DareLinearSvd ? CombineKind.Svd : kind,
                    density,
                    generator);
                lost[module.Key.Name] = result.Error(module.Key.Name, dense);
            }
        });
    }

    private sealed record Part(Lora Lora, double Weight);

    private static (Tensor A, Tensor B) Join(
        Projection target,
        List<Part> parts,
        CombineKind kind,
        double density,
        int rank,
        Generator generator)
    {
        if (kind == CombineKind.Cat)
            return (
                cat([.. parts.Select(part => part.Lora.A.Value * (part.Weight * part.Lora.Scale))], 0),
                cat([.. parts.Select(part => part.Lora.B.Value)], 1));
        if (kind is CombineKind.Svd or CombineKind.TiesSvd or CombineKind.MagnitudePruneSvd or CombineKind.DareLinearSvd)
            return LowRank.Of(
                Rule(
                    [.. parts.Select(part => part.Lora.Change())],
                    [.. parts.Select(part => part.Weight)],
                    kind,
                    density,
                    generator),
                rank);
        if (parts.Select(part => part.Lora.A.Value.size(0)).Distinct().Count() > 1)
            throw new InputException($"The adapters have the ranks {string.Join(", ", parts.Select(part => part.Lora.A.Value.size(0)))} at "
                + $"{target.Name}; {kind} adds their factors and needs one rank. Use cat, or one of the svd kinds.");
        // Each factor is multiplied with the root of the weight; the sign goes to A.
        double[] roots = [.. parts.Select(part => Math.Sqrt(Math.Abs(part.Weight * part.Lora.Scale)))];
        double[] signed = [.. parts.Select((part, i) => roots[i] * (part.Weight * part.Lora.Scale < 0 ? -1 : 1))];
        return (
            Rule(
                [.. parts.Select(part => part.Lora.A.Value)],
                signed,
                kind,
                density,
                generator),
            Rule(
                [.. parts.Select(part => part.Lora.B.Value)],
                roots,
                kind,
                density,
                generator));
    }

    private static Tensor Rule(
        Tensor[] tensors,
        double[] weights,
        CombineKind kind,
        double density,
        Generator generator) => kind switch
        {
            CombineKind.Ties or CombineKind.TiesSvd => Elect([.. tensors.Select(tensor => Largest(tensor, density))], weights),
            CombineKind.MagnitudePrune or CombineKind.MagnitudePruneSvd =>
                Sum([.. tensors.Select(tensor => Largest(tensor, density))], weights),
            CombineKind.DareLinear or CombineKind.DareLinearSvd =>
                Sum([.. tensors.Select(tensor => tensor * rand(tensor.shape, generator: generator).lt(density) / density)], weights),
            _ => Sum(tensors, weights),
        };

    private static Tensor Sum(Tensor[] tensors, double[] weights) =>
        tensors.Select((tensor, i) => tensor * weights[i]).Aggregate((sum, next) => sum + next);

    private static Tensor Largest(Tensor tensor, double density)
    {
        if (density >= 1) return tensor;
        var kept = tensor.abs().flatten().topk((int)(density * tensor.numel())).indexes;
        return tensor * zeros(tensor.numel()).index_fill(0, kept, 1).view(tensor.shape);
    }

    // The sign with the larger sum wins; the elements with this sign are averaged.
    private static Tensor Elect(Tensor[] tensors, double[] weights)
    {
        var all = stack(tensors, 0);
        var agreed = all.sign().eq(where(all.sum(dim: 0).ge(0), ones(1), -ones(1)));
        var weighted = stack([.. tensors.Select((tensor, i) => tensor * weights[i])], 0);
        return (weighted * agreed).sum(dim: 0) / agreed.sum(dim: 0).clamp(min: 1);
    }
}
