using System.Globalization;
using Polymath.Models;
using Polymath.Recipes;

namespace Polymath.Training.Stages;

/// <summary>
/// Finds the weights of a model's blocks for every family: those whose names share the prefix of the block's linear maps, up to and
/// including the block's number.
/// </summary>
public static class FrozenLayers
{
    /// <summary>The weights of the blocks that a method trains.</summary>
    /// <param name="model">The model.</param>
    /// <param name="method">The method.</param>
    /// <exception cref="InputException">The model has fewer blocks.</exception>
    public static IReadOnlyList<Weight> Trained(LanguageModel model, FreezeMethod method)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(method);
        // An encoder-decoder numbers the blocks of both halves from 0.
        var prefixes = model.Projections.Where(map => map.Layer >= 0).GroupBy(map => map.Layer)
            .ToDictionary(group => group.Key, group => group.Select(map => Prefix(map.Name, map.Layer)).ToHashSet(StringComparer.Ordinal));
        var count = prefixes.Count;
        void Fits(string key, int? asked)
        {
            if (asked > count) throw new InputException($"method.{key} is {asked}; the model has {count} layers. Write {count} or less.");
        }

        Fits("firstLayers", method.FirstLayers);
        Fits("lastLayers", method.LastLayers);
        var layers = new HashSet<int>(method.Layers ?? []);
        foreach (var layer in layers)
            if (!prefixes.ContainsKey(layer))
                throw new InputException($"method.layers names {layer}; the model has {count} layers, counted from 0.");
        layers.UnionWith(Enumerable.Range(0, method.FirstLayers ?? 0));
        layers.UnionWith(Enumerable.Range(count - (method.LastLayers ?? 0), method.LastLayers ?? 0));
        var wanted = layers.SelectMany(layer => prefixes[layer]).ToList();
        return [.. model.Weights.Where(weight => wanted.Exists(prefix => weight.Name.StartsWith(prefix, StringComparison.Ordinal)))];
    }

    // "model.layers.3.self_attn.q_proj" has the prefix "model.layers.3.".
    private static string Prefix(string name, int layer)
    {
        var number = "." + layer.ToString(CultureInfo.InvariantCulture) + ".";
        var at = name.IndexOf(number, StringComparison.Ordinal);
        return at < 0 ? name + "." : name[..(at + number.Length)];
    }
}
