using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Models;

/// <summary>The configurations of new models of any family, made from sizes.</summary>
public static class FreshFamily
{
    /// <summary>The families that can be made so.</summary>
    public static IReadOnlyCollection<string> Names => [.. FreshForm.All.Keys];

    /// <summary>The special tokens that a family's models read; null for a family that reads those of recipes.</summary>
    /// <param name="family">The family.</param>
    public static FreshMarks? MarksOf(string family) => FreshForm.All.GetValueOrDefault(family)?.Marks;

    /// <summary>The configuration of a new model; what is not said is as in the family's published configuration.</summary>
    /// <param name="spec">The sizes that a recipe asks for.</param>
    /// <param name="vocabularySize">The tokenizer's tokens.</param>
    /// <param name="begin">The token that begins a row.</param>
    /// <param name="end">The token that ends a text.</param>
    /// <exception cref="InputException">The family is not known, or has no such setting.</exception>
    public static JsonObject Configure(FamilySpec spec, int vocabularySize, int begin, int end)
    {
        ArgumentNullException.ThrowIfNull(spec);
        if (!FreshForm.All.TryGetValue(spec.Family, out var form))
            throw new InputException($"model.family is '{spec.Family}'; {Nearest.Hint(spec.Family, [.. Names], "families")}.");
        var made = new JsonObject
        {
            ["architectures"] = new JsonArray(form.Stem + form.Ending),
            ["model_type"] = spec.Family,
            ["vocab_size"] = vocabularySize,
            [form.Hidden] = spec.HiddenSize,
            [form.Layers] = spec.Layers,
            [form.Heads] = spec.Heads,
            ["bos_token_id"] = begin,
            ["eos_token_id"] = end,
            ["pad_token_id"] = null,
        };
        if (form.Inner is { } inner) made[inner] = spec.IntermediateSize;
        if (form.Context is { } context) made[context] = spec.ContextLength;
        Put(
            made,
            "keyValueHeads",
            form.KeyValueHeads,
            spec.KeyValueHeads,
            spec.Heads);
        Put(
            made,
            "headWidth",
            form.HeadWidth,
            spec.HeadWidth,
            spec.HiddenSize / spec.Heads);
        Put(
            made,
            "experts",
            form.Experts,
            spec.Experts,
            8);
        if (form.Experts is not null)
        {
            made["num_experts_per_tok"] = spec.ExpertsPerToken ?? Math.Min(2, spec.Experts ?? 8);
            if (form.Width.Length > 0) made[form.Width] = spec.IntermediateSize;
        }
        if (spec.TiedHead is { } tied) made["tie_word_embeddings"] = tied;
        form.More?.Invoke(spec, made);
        var settings = TemplateVariables.Of(spec.Settings ?? new Dictionary<string, string>());
        foreach (var (key, value) in settings) made[key] = value?.DeepClone();
        foreach (var key in new[] { "dtype", "torch_dtype" }) made[key] = "float32";
        // Parsed again, so that its values have the same types as a file's.
        return (JsonObject)JsonNode.Parse(made.ToJsonString())!;
    }

    // A key that is empty is set by the family's own rule.
    private static void Put(
        JsonObject made,
        string setting,
        string? key,
        int? value,
        int otherwise)
    {
        if (key is null && value is not null)
            throw new InputException($"model.{setting} is {value}; the family {made["model_type"]} has no such setting. Leave it out.");
        if (key is { Length: > 0 }) made[key] = value ?? otherwise;
    }
}
