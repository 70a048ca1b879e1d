using Polymath.Models;
using Polymath.Models.Parts;

namespace Polymath.Training.Optimizers;

/// <summary>
/// Which weights are matrices between hidden states, the ones that Muon is for: the linear maps within blocks and the matrices of deltas.
/// Token and position tables, vectors of prompts, heads over words or labels, norms, biases and everything of one row or column are not.
/// </summary>
public static class HiddenMatrices
{
    /// <summary>Tells a model's hidden matrices, and those of deltas on it.</summary>
    /// <param name="model">The model.</param>
    public static Func<Weight, bool> Of(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var maps = model.Projections.Where(map => map.Role != Role.Head).Select(map => map.Weight).ToHashSet();
        maps.ExceptWith([model.Tokens.Embedding, model.Tokens.Head]);
        var own = model.Weights.ToHashSet();
        // Deltas of tables and heads and copies of them, by their modules' names, and virtual tokens.
        string[] others = ["embed", "prompt", "token", model.Tokens.Name, model.Tokens.HeadMap.Name, .. model.Labels?.Modules ?? []];
        bool IsOther(Weight weight) => others.Any(name => weight.Name.Contains(name, StringComparison.OrdinalIgnoreCase));
        return weight => IsMatrix(weight) && (own.Contains(weight) ? maps.Contains(weight) : !IsOther(weight));
    }

    /// <summary>Whether a weight has two dimensions, and more than one row and column.</summary>
    /// <param name="weight">The weight.</param>
    public static bool IsMatrix(Weight weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return weight.Shape is [> 1, > 1];
    }
}
