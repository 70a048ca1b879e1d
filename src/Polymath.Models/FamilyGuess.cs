using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Recipes;
using Polymath.Tensors.Files;

namespace Polymath.Models;

/// <summary>Finds the known family whose weights are most like those of a folder of an unknown one, and what differs.</summary>
internal static class FamilyGuess
{
    private const int Listed = 4;

    /// <summary>A sentence about the nearest family; empty where the folder has no weights to compare.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="folder">The folder.</param>
    internal static string Of(JsonObject configuration, string folder)
    {
        var shapes = ShapesIn(folder);
        if (shapes.Count == 0) return "";
        var own = shapes.Keys.Select(Pattern).ToHashSet(StringComparer.Ordinal);
        var (family, known) = Usual().MaxBy(pair => pair.Names.Intersect(own).Count() / (double)pair.Names.Union(own).Count());
        var shared = known.Intersect(own).Count();
        if (shared == 0) return "";
        var text = $" Its weights are most like those of {family}: {shared} of {own.Count} kinds of names are the same.";
        var differences = Differences(configuration, family, shapes);
        text += differences.Count == 0
            ? " All names and shapes agree."
            : $" What differs: {string.Join("; ", differences)}.";
        return text + $" If it is a {family} under another name, write \"model_type\": \"{family}\" into config.json and check it with "
            + "`polymath model verify`; see docs/tutorials/new-family.md.";
    }

    private static Dictionary<string, long[]> ShapesIn(string folder)
    {
        var shapes = new Dictionary<string, long[]>(StringComparer.Ordinal);
        try
        {
            foreach (var path in WeightFiles.Of(folder))
            {
                using var file = WeightFile.OpenAny(path);
                foreach (var (name, entry) in file.Entries) shapes[name] = entry.Shape;
            }
        }
        catch (InputException)
        {
            // Without readable files there is nothing to compare.
        }
        return shapes;
    }

    // The names of a small model of each family.
    private static IEnumerable<(string Family, HashSet<string> Names)> Usual()
    {
        foreach (var family in FreshFamily.Names.Prepend("llama"))
        {
            var spec = new FamilySpec(
                family == "llama" ? "mistral" : family,
                32,
                family == "bloom" ? 128 : 64,
                4,
                4);
            var configuration = FreshFamily.Configure(spec, 64, 0, 1);
            configuration["model_type"] = family;
            yield return (family, ShapeWeights.Of(configuration).Shapes.Keys.Select(Pattern).ToHashSet(StringComparer.Ordinal));
        }
    }

    // Layers and experts have one name, and the prefixes that files may omit are left out.
    private static string Pattern(string name) => Regex.Replace(
        Regex.Replace(name, @"^(model\.|transformer\.|language_model\.|backbone\.)+", ""),
        @"\.\d+(?=\.)",
        ".N");

    private static List<string> Differences(JsonObject configuration, string family, Dictionary<string, long[]> shapes)
    {
        var content = (JsonObject)configuration.DeepClone();
        content["model_type"] = family;
        IReadOnlyDictionary<string, long[]> wanted;
        try
        {
            wanted = ShapeWeights.Of(content, shapes.Keys).Shapes;
        }
        catch (InputException fault)
        {
            return [$"{family} cannot be built from this configuration ({fault.Message.TrimEnd('.')})"];
        }
        static string Bare(string name) => Regex.Replace(name, @"^(model\.|transformer\.|language_model\.|backbone\.)+", "");
        var there = shapes.ToDictionary(pair => Bare(pair.Key), pair => pair.Value, StringComparer.Ordinal);
        var asked = wanted.ToDictionary(pair => Bare(pair.Key), pair => pair.Value, StringComparer.Ordinal);
        List<string> missing = [.. asked.Keys.Where(name => !there.ContainsKey(name))],
            extra = [.. there.Keys.Where(name => !asked.ContainsKey(name))],
            other = [.. asked.Where(pair => there.TryGetValue(pair.Key, out var found) && !found.SequenceEqual(pair.Value))
                .Select(pair => $"{pair.Key} [{string.Join(", ", there[pair.Key])}] instead of [{string.Join(", ", pair.Value)}]")];
        return [.. new[] { ("the files lack", missing), ("the files also hold", extra), ("other shapes:", other) }
            .Where(part => part.Item2.Count > 0).Select(part => $"{part.Item1} {Some(part.Item2)}")];
    }

    private static string Some(List<string> names) =>
        string.Join(", ", names.Take(Listed)) + (names.Count > Listed ? $" and {names.Count - Listed} more" : "");
}
