using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Hubs;

namespace Polymath.Models;

/// <summary>Finds the files of a folder that hold its weights.</summary>
internal static class WeightFiles
{
    /// <summary>Whether a folder holds weights itself.</summary>
    /// <param name="folder">The folder.</param>
    internal static bool HasOwn(string folder) => Present(folder).Count > 0;

    /// <summary>The files that are read.</summary>
    /// <param name="folder">The folder that holds them.</param>
    internal static IReadOnlyList<string> Of(string folder)
    {
        if (Present(folder) is not [var taken, ..]) throw Missing(folder);
        var path = Path.Combine(folder, taken);
        return taken.EndsWith(".json", StringComparison.Ordinal) ? Shards(folder, path) : [path];
    }

    /// <summary>Notes for the user about the choice: other forms of the weights that were ignored, an adapter in the same folder.</summary>
    /// <param name="folder">The folder.</param>
    internal static IReadOnlyList<string> Remarks(string folder)
    {
        var remarks = new List<string>();
        if (Present(folder) is [var taken, _, ..] all)
            remarks.Add($"{folder} holds its weights in several forms; {taken} is read, as in transformers;"
                + $" ignored: {string.Join(", ", all.Skip(1))}.");
        if (File.Exists(Path.Combine(folder, AdapterFolder.Settings)))
            remarks.Add($"{folder} holds an adapter next to the model ({AdapterFolder.Settings}). It is not attached; to attach it:"
                + $" --adapter {folder}.");
        return remarks;
    }

    private static List<string> Present(string folder) =>
        [.. HubSelection.WeightNames.Where(name => File.Exists(Path.Combine(folder, name)))];

    private static InputException Missing(string folder)
    {
        // A variant is read only on request, in transformers, too: variant="fp16".
        var names = Directory.EnumerateFiles(folder).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal).ToList();
        var variant = names.FirstOrDefault(name =>
            name.StartsWith("model.", StringComparison.Ordinal) && name.EndsWith(".safetensors", StringComparison.Ordinal));
        var hint = variant is null ? "Place them there, or name another folder."
            : $"It has the variant {variant}: rename it to model.safetensors to read it.";
        if (names.Find(name => name.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)) is { } gguf)
            hint = $"{gguf} is a file for llama.cpp, which can only be written here, not read: fetch the safetensors files of the model"
                + $" that it was made from.";
        if (names.Contains(AdapterFolder.Settings))
            hint = $"It holds an adapter ({AdapterFolder.Settings}). {AdapterFolder.Asks(folder)}";
        return new InputException($"{folder} has no weights: none of {string.Join(", ", HubSelection.WeightNames)}. {hint}");
    }

    private static List<string> Shards(string folder, string index)
    {
        if (ModelFolder.ReadObject(index)["weight_map"] is not JsonObject map)
            throw new InputException($"{index} has no weight_map. Fetch it again.");
        var names = map.Select(pair => pair.Value?.ToString() ?? "").Distinct().ToList();
        // A shard must be in the index's folder: any other path would let a downloaded model read other files.
        return [.. names
            .Select(name => ShardPath.Inside(name)
                ?? throw new InputException($"{index} names the shard '{name}', which is not a file of this folder. Fetch the index"
                + $" again."))
            .Distinct()
            .Order(StringComparer.Ordinal)
            .Select(name => Path.Combine(folder, name))];
    }
}
