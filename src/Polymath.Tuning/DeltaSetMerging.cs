using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>How a set becomes part of its model's weights.</summary>
public sealed partial class DeltaSet
{
    /// <summary>
    /// Whether the adapter can be made part of the model's own weights: prompts, and adapters with a nonlinearity, cannot.
    /// </summary>
    public bool Merges => prompt is null && attended.Count == 0 && plugged.TrueForAll(pair => pair.Delta.Merges);

    /// <summary>
    /// Whether it changes more than linear maps' weights: token vectors, the model's own norms and biases, rows by a prompt, what is
    /// attended to.
    /// </summary>
    public bool ChangesMore => prompt is not null || attended.Count > 0 || tokens.Count > 0 || chosen.Exists(item => item.Trained);

    /// <summary>
    /// Makes the adapter part of the model's weights and detaches it: the model is what it was with the adapter, without deltas.
    /// </summary>
    /// <exception cref="InputException">It cannot be a part of them.</exception>
    public void Merge()
    {
        CheckMerge();
        using var frozen = no_grad();
        foreach (var (target, delta) in plugged)
        {
            using var scope = NewDisposeScope();
            var (weight, bias) = delta.Merge(target.Matrix(), target.Bias?.Value);
            target.Assign(weight, bias);
        }
        foreach (var delta in tokens)
        {
            using var scope = NewDisposeScope();
            Model.Tokens.Embedding.Assign(delta.Merge(Model.Tokens.Embedding.Value.to(ScalarType.Float32)));
        }
        foreach (var weight in chosen) weight.Keep();
        // A head that was trained apart from the token vectors stays so.
        untied = false;
        Dispose();
    }

    /// <summary>
    /// The model's weights with the adapter in them, one at a time: what <see cref="Merge"/> makes of the whole model, number for number.
    /// </summary>
    /// <exception cref="InputException">It cannot be a part of them.</exception>
    public MergedWeights Merged()
    {
        CheckMerge();
        return new MergedWeights(Model, plugged, tokens);
    }

    /// <summary>
    /// The weights of a model that the adapter is a part of, without it, one at a time. The set is attached to the merged model only to be
    /// read.
    /// </summary>
    /// <param name="original">Gives a weight of the model it was merged into, where that is at hand: what cannot be taken out is put
    /// back.</param>
    /// <exception cref="InputException">It cannot be a part of the model, or there is no way back and no original.</exception>
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
                + $"{string.Join(", ", without.Take(3))}{(without.Count > 3 ? $" and {without.Count - 3} more" : "")}: what was there "
                + "before is not in it. Name the model it was merged into, whose weights are put back there: --base FOLDER.");
        return new MergedWeights(
            Model, plugged, tokens, original is null ? _ => null : weight => without.Contains(weight.Name) ? original(weight) : null);
    }

    private void CheckMerge()
    {
        if (!Merges)
            throw new InputException($"An adapter of the kind {Configuration.Type} cannot be merged: it is no change of the model's "
                + "weights. Keep it beside the model (--adapter).");
        // Chosen tokens' vectors are the same for both; other changes are of one of them.
        if (Model.Labels is null && Model.Tokens.IsTied && tokens.Exists(delta => delta is not Deltas.TrainableTokens)
            | plugged.Exists(pair => pair.Target == Model.Tokens.HeadMap && tokens.Count == 0))
            throw new InputException("The adapter changes the token vectors or the output head alone, and the model ties them: merging "
                + "would change both. Keep the adapter beside the model (--adapter), or untie the head first.");
    }
}
