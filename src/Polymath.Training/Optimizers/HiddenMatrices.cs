using Polymath.Models;
using Polymath.Models.Parts;

namespace Polymath.Training.Optimizers;

/// <summary>
/// Which weights are matrices between hidden states, the ones that Muon is for: the linear maps within blocks and the matrices of deltas.
/// Token and position tables, vectors of prompts, heads over words or labels, norms, biases and everything of one row or column are not.
/// </summary>
public static class HiddenMatrices
{
    /// <summary>Tells a model's hidden matrices, and those of the deltas that are attached to it now.</summary>
    /// <param name="model">The model.</param>
    public static Func<Weight, bool> Of(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var heads = model.Projections.Where(map => map.Role == Role.Head).Append(model.Tokens.HeadMap).ToList();
        var others = heads.Select(map => map.Weight)
            .Concat(heads.SelectMany(map => map.Deltas).SelectMany(delta => delta.Weights))
            .Concat(model.Tokens.Deltas.SelectMany(delta => delta.Weights))
            .Concat([model.Tokens.Embedding, model.Tokens.Head])
            .Concat(model.Prompt is { } prompt ? [prompt.Table] : [])
            .ToHashSet();
        var maps = model.Projections.Select(map => map.Weight).ToHashSet();
        var own = model.Weights.ToHashSet();
        return weight => IsMatrix(weight) && !others.Contains(weight) && (maps.Contains(weight) || !own.Contains(weight));
    }

    /// <summary>Whether a weight has two dimensions, and more than one row and column.</summary>
    /// <param name="weight">The weight.</param>
    public static bool IsMatrix(Weight weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return weight.Shape is [> 1, > 1];
    }
}
