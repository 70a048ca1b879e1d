using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>Merges a set into its model's weights.</summary>
public sealed partial class DeltaSet
{
    /// <summary>Whether the adapter can be merged into the model's own weights: prompts and adapters with a nonlinearity cannot.</summary>
    public bool Merges => prompt is null && attended.Count == 0 && plugged.TrueForAll(pair => pair.Delta.Merges);

    /// <summary>
    /// Whether it changes more than the weights of linear maps: token vectors, the model's own norms and biases, the rows (a prompt), or
    /// attention.
    /// </summary>
    public bool ChangesMore => prompt is not null || attended.Count > 0 || tokens.Count > 0 || chosen.Exists(item => item.Trained);

    /// <summary>
    /// Merges the adapter into the model's weights and detaches it. The model then computes the same as with the adapter, without deltas.
    /// </summary>
    /// <exception cref="InputException">It cannot be merged.</exception>
    public void Merge()
    {
        CheckMerge();
        using var frozen = no_grad();
        foreach (var (target, delta) in plugged)
        {
            using var scope = NewDisposeScope();
            var (weight, bias) = delta.Merge(target.Matrix(), target.BiasValues);
            target.Assign(weight, bias);
        }
        foreach (var delta in tokens)
        {
            using var scope = NewDisposeScope();
            Model.Tokens.Embedding.Assign(delta.Merge(Model.Tokens.Embedding.Value.to(ScalarType.Float32)));
        }
        foreach (var weight in chosen) weight.Keep();
        // A head that was trained separately from the token vectors stays untied.
        untied = false;
        Dispose();
    }

    /// <summary>
    /// The model's weights with the adapter merged in, one at a time; they equal the result of <see cref="Merge"/> exactly.
    /// </summary>
    /// <exception cref="InputException">It cannot be merged.</exception>
    public MergedWeights Merged()
    {
        CheckMerge();
        return new MergedWeights(Model, plugged, tokens);
    }

    /// <summary>
    /// The weights of a merged model with the adapter taken out, one at a time. The set is attached to the merged model only to read it.
    /// </summary>
    /// <param name="original">Returns a weight of the original model, if available: a change that cannot be taken out is replaced by the
    /// original weight.</param>
    /// <exception cref="InputException">It cannot be merged, or the change cannot be taken out and there is no original.</exception>
    public MergedWeights Unmerged(Func<Weight, Tensor>? original = null)
    {
        CheckMerge();
        var without = plugged.Where(pair => !pair.Delta.Unmerges).SelectMany(pair => new[] { pair.Target.Weight, pair.Target.Bias })
            .OfType<Weight>().Select(weight => weight.Name).Concat(chosen.Select(item => item.Weight.Name))
            .Concat(tokens.Where(delta => delta is not Deltas.LoraTokens { Unmerges: true }).Select(_ => Model.Tokens.Embedding.Name))
            .Distinct()
            .ToList();
        if (without.Count > 0 && original is null)
            throw new InputException($"An adapter of the kind {Configuration.Type} cannot be taken out of "
                + $"{string.Join(", ", without.Take(3))}{(without.Count > 3 ? $" and {without.Count - 3} more" : "")}: the old "
                + "weights are not in it. Name the model it was merged into, to copy these weights from it: --base FOLDER.");
        return new MergedWeights(
            Model, plugged, tokens, original is null ? _ => null : weight => without.Contains(weight.Name) ? original(weight) : null);
    }

    /// <summary>Throws where the adapter cannot be merged into its model, so that it is told before anything is trained.</summary>
    /// <exception cref="InputException">It is no change of the model's weights, or would change two tied weights at once.</exception>
    public void CheckMerge()
    {
        if (!Merges)
            throw new InputException($"An adapter of the kind {Configuration.Type} cannot be merged: it is not a change of the model's "
                + "weights. Keep it next to the model (--adapter).");
        // Vectors of chosen tokens are the same for both; other changes apply to only one of them.
        if (Model.Labels is null && Model.Tokens.IsTied && tokens.Exists(delta => delta is not Deltas.TrainableTokens)
            | plugged.Exists(pair => pair.Target == Model.Tokens.HeadMap && tokens.Count == 0))
            throw new InputException("The adapter changes only the token vectors or only the output head, and the model ties them: merging "
                + "would change both. Keep the adapter next to the model (merge: false in a recipe, --adapter in a command), or "
                + "untie the head first.");
    }
}
