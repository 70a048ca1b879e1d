using Polymath.Models;
using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// A model's weights with an adapter in them, or out of them again, each made when it is asked for: it takes the memory of one weight, not
/// of a second model.
/// </summary>
public sealed class MergedWeights
{
    private readonly LanguageModel model;
    private readonly Dictionary<Weight, List<(Projection Target, Delta Delta)>> maps = [], biases = [];
    private readonly IReadOnlyList<TokenDelta> tokens;
    private readonly Func<Weight, Tensor?>? original;

    /// <summary>Merges, or takes out where a function is given that may put a weight back.</summary>
    internal MergedWeights(
        LanguageModel model,
        IReadOnlyList<(Projection Target, Delta Delta)> plugged,
        IReadOnlyList<TokenDelta> tokens,
        Func<Weight, Tensor?>? original = null)
    {
        (this.model, this.tokens, this.original) = (model, tokens, original);
        foreach (var pair in plugged)
        {
            Put(maps, pair.Target.Weight, pair);
            if (pair.Target.Bias is { } bias) Put(biases, bias, pair);
        }
    }

    private static void Put(Dictionary<Weight, List<(Projection, Delta)>> where, Weight weight, (Projection, Delta) pair)
    {
        if (!where.TryGetValue(weight, out var list)) where[weight] = list = [];
        list.Add(pair);
    }

    /// <summary>
    /// A weight as it is when the adapter is a part of it, or no more, in 32 bits and of its shape; null where the model holds it so
    /// already.
    /// </summary>
    /// <param name="weight">One of the model's weights.</param>
    public Tensor? Of(Weight weight)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        if (original?.Invoke(weight) is { } restored) return restored.alias().MoveToOuterDisposeScope();
        Tensor? result = null;
        if (biases.TryGetValue(weight, out var pairs))
        {
            var (_, bias) = Chain(pairs);
            return ReferenceEquals(bias, weight.Value) ? null : bias!.alias().MoveToOuterDisposeScope();
        }
        if (maps.TryGetValue(weight, out pairs))
        {
            var (matrix, _) = Chain(pairs);
            result = pairs[0].Target.Transposed ? matrix.t() : matrix;
        }
        if (weight == model.Tokens.Embedding)
            foreach (var delta in tokens)
            {
                var table = result ?? weight.Value.to(ScalarType.Float32);
                result = original is null ? delta.Merge(table) : delta.Unmerge(table);
            }
        return result?.alias().MoveToOuterDisposeScope();
    }

    // The deltas of one map, each on what those before made of it; the last is the first to be taken out.
    private (Tensor Weight, Tensor? Bias) Chain(List<(Projection Target, Delta Delta)> pairs)
    {
        var target = pairs[0].Target;
        (Tensor Weight, Tensor? Bias) made = (target.Matrix(), target.Bias?.Value);
        foreach (var (_, delta) in original is null ? pairs : Enumerable.Reverse(pairs))
            made = original is null ? delta.Merge(made.Weight, made.Bias) : delta.Unmerge(made.Weight, made.Bias);
        return made;
    }
}
