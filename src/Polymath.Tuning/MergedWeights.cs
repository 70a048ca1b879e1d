using Polymath.Models;
using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// A model's weights with an adapter merged in or taken out, each computed on request: this needs the memory of one weight, not of a second
/// model.
/// </summary>
public sealed class MergedWeights
{
    private readonly LanguageModel model;
    private readonly Dictionary<Weight, List<(Projection Target, Delta Delta)>> maps = [], biases = [];
    private readonly IReadOnlyList<TokenDelta> tokens;
    private readonly Func<Weight, Tensor?>? original;

    /// <summary>Merges the adapter; takes it out when a function is given that may restore a weight.</summary>
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
    /// A weight with the adapter merged in or taken out, in 32 bits and in its shape; null when the weight does not change.
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
            if (pairs[0].Target.Stack is { IsWhole: true }) return Stack(weight, pairs, changed => changed.Bias!).MoveToOuterDisposeScope();
            var (_, bias) = Chain(pairs);
            return ReferenceEquals(bias, weight.Value) ? null : bias!.alias().MoveToOuterDisposeScope();
        }
        if (maps.TryGetValue(weight, out pairs))
        {
            if (pairs[0].Target is { Stack.IsWhole: true, Transposed: var turned })
                return Stack(weight, pairs, changed => turned ? changed.Weight.t() : changed.Weight).MoveToOuterDisposeScope();
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

    // All experts of a stack; those without deltas stay.
    private Tensor Stack(
        Weight weight,
        List<(Projection Target, Delta Delta)> pairs,
        Func<(Tensor Weight, Tensor? Bias), Tensor> part)
    {
        var whole = weight.Wide().clone();
        foreach (var own in pairs.GroupBy(pair => pair.Target))
            whole.select(0, own.Key.Stack!.Expert).copy_(part(Chain([.. own])));
        return whole;
    }

    // The deltas of one map, each applied after those before it; the last is taken out first.
    private (Tensor Weight, Tensor? Bias) Chain(List<(Projection Target, Delta Delta)> pairs)
    {
        var target = pairs[0].Target;
        (Tensor Weight, Tensor? Bias) made = (target.Matrix(), target.BiasValues);
        foreach (var (_, delta) in original is null ? pairs : Enumerable.Reverse(pairs))
            made = original is null ? delta.Merge(made.Weight, made.Bias) : delta.Unmerge(made.Weight, made.Bias);
        return made;
    }
}
