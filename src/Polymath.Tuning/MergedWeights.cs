using Polymath.Models;
using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>A model's weights with an adapter in them, each made when it is asked for: merging takes the memory of one weight, not of a second model.</summary>
public sealed class MergedWeights
{
    readonly LanguageModel model;
    readonly Dictionary<Weight, List<(Projection Target, Delta Delta)>> maps = [], biases = [];
    readonly IReadOnlyList<TokenDelta> tokens;

    internal MergedWeights(LanguageModel model, IReadOnlyList<(Projection Target, Delta Delta)> plugged, IReadOnlyList<TokenDelta> tokens)
    {
        (this.model, this.tokens) = (model, tokens);
        foreach (var pair in plugged)
        {
            Put(maps, pair.Target.Weight, pair);
            if (pair.Target.Bias is { } bias) Put(biases, bias, pair);
        }
    }

    static void Put(Dictionary<Weight, List<(Projection, Delta)>> where, Weight weight, (Projection, Delta) pair)
    {
        if (!where.TryGetValue(weight, out var list)) where[weight] = list = [];
        list.Add(pair);
    }

    /// <summary>A weight as it is when the adapter is a part of it, in 32 bits and of its shape; null where the model holds it so already.</summary>
    /// <param name="weight">One of the model's weights.</param>
    public Tensor? Of(Weight weight)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
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
            foreach (var delta in tokens) result = delta.Merge(result ?? weight.Value.to(ScalarType.Float32));
        return result?.alias().MoveToOuterDisposeScope();
    }

    // The deltas of one map, each on what those before made of it.
    static (Tensor Weight, Tensor? Bias) Chain(List<(Projection Target, Delta Delta)> pairs)
    {
        var target = pairs[0].Target;
        (Tensor Weight, Tensor? Bias) made = (target.Matrix(), target.Bias?.Value);
        foreach (var (_, delta) in pairs) made = delta.Merge(made.Weight, made.Bias);
        return made;
    }
}
