using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Models;

/// <summary>A folder with an adapter but no model: PEFT's <c>adapter_config.json</c> without a <c>config.json</c>.</summary>
public static class AdapterFolder
{
    /// <summary>The file of an adapter's settings.</summary>
    public const string Settings = "adapter_config.json";

    /// <summary>Whether a folder is an adapter's and not a model's.</summary>
    /// <param name="folder">The folder.</param>
    public static bool Is(string folder) =>
        File.Exists(Path.Combine(folder, Settings)) && !File.Exists(Path.Combine(folder, "config.json"));

    /// <summary>Refuses an adapter where a model is needed, and says how to name both.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="InputException">The folder is an adapter's.</exception>
    public static void Refuse(string folder)
    {
        if (Is(folder)) throw new InputException($"{folder} is an adapter ({Settings}), not a model. {Asks(folder)}");
    }

    /// <summary>Says which model an adapter's folder belongs to, and how to name both.</summary>
    /// <param name="folder">The folder.</param>
    internal static string Asks(string folder)
    {
        var name = Base(folder);
        var origin = name is null ? "It does not say on which model it was trained" : $"It was trained on {name}";
        var shown = name ?? "MODEL";
        return $"{origin}. Name that model instead and the"
            + $" adapter next to it: {shown} --adapter {folder}."
            + $" For a verb without --adapter, merge the two: polymath adapter merge {shown} --adapter {folder} --output DIR.";
    }

    /// <summary>The model that an adapter was trained on, in a form that can be typed; null when its settings do not name one.</summary>
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
            // Damaged settings name no model; the fault is reported when the adapter is used.
            return null;
        }
    }
}
