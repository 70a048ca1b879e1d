using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Models;

/// <summary>A folder that holds an adapter and no model: PEFT's <c>adapter_config.json</c> without a <c>config.json</c>.</summary>
public static class AdapterFolder
{
    /// <summary>The file of an adapter's settings.</summary>
    public const string Settings = "adapter_config.json";

    /// <summary>Whether a folder is an adapter's and no model's.</summary>
    /// <param name="folder">The folder.</param>
    public static bool Is(string folder) =>
        File.Exists(Path.Combine(folder, Settings)) && !File.Exists(Path.Combine(folder, "config.json"));

    /// <summary>Refuses an adapter where a model is asked for, and says how the two are given.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="InputException">The folder is an adapter's.</exception>
    public static void Refuse(string folder)
    {
        if (!Is(folder)) return;
        var name = Base(folder);
        var origin = name is null ? "It does not say which model it was made for" : $"It was made for {name}";
        var shown = name ?? "MODEL";
        throw new InputException($"{folder} is an adapter ({Settings}) and no model. {origin}. Give that model in its place and the"
            + $" adapter beside it: {shown} --adapter {folder}."
            + $" A verb without --adapter takes the two as one model: polymath adapter merge {shown} --adapter {folder} --output DIR.");
    }

    /// <summary>The model that an adapter says it was made for, as it can be typed; null where it says none.</summary>
    /// <param name="folder">The adapter's folder.</param>
    public static string? Base(string folder)
    {
        try
        {
            var name = JsonNode.Parse(File.ReadAllBytes(Path.Combine(folder, Settings)))?["base_model_name_or_path"]?.ToString();
            if (string.IsNullOrWhiteSpace(name)) return null;
            var onHub = !Directory.Exists(name) && HubAddress.TryParse("hf:" + name, data: false, out _, out _);
            return onHub ? "hf:" + name : name;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            // Damaged settings name no model; who uses the adapter is told what is wrong with them.
            return null;
        }
    }
}
