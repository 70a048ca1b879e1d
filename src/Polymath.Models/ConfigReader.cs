using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Recipes;

namespace Polymath.Models;

/// <summary>Reads the values of a <c>config.json</c> and says which is missing or of the wrong kind.</summary>
/// <param name="configuration">The content.</param>
public sealed class ConfigReader(JsonObject configuration)
{
    /// <summary>A whole number, at least 1.</summary>
    /// <param name="key">The key.</param>
    /// <param name="otherwise">The value where the key is missing or null; without one the key is needed.</param>
    public int Int(string key, int? otherwise = null)
    {
        if (configuration[key] is not { } node) return otherwise ?? throw Fault(key, "is missing");
        return node is JsonValue value && value.TryGetValue<long>(out var number) && number is > 0 and <= int.MaxValue
            ? (int)number
            : throw Fault(key, $"is {node.ToJsonString()}, not a whole number from 1");
    }

    /// <summary>A number.</summary>
    /// <param name="key">The key.</param>
    /// <param name="otherwise">The value where the key is missing or null.</param>
    public double Double(string key, double otherwise) => Number(configuration, key, otherwise);

    /// <summary>True or false.</summary>
    /// <param name="key">The key.</param>
    /// <param name="otherwise">The value where the key is missing or null.</param>
    public bool Bool(string key, bool otherwise)
    {
        if (configuration[key] is not { } node) return otherwise;
        return node is JsonValue value && value.TryGetValue<bool>(out var flag) ? flag : throw Fault(key, $"is {node.ToJsonString()}, neither true nor false");
    }

    /// <summary>Refuses any value but one.</summary>
    /// <param name="key">The key; it may be missing.</param>
    /// <param name="value">The value it must have.</param>
    public void Expect(string key, string value)
    {
        if (configuration[key] is { } node && !(node is JsonValue found && found.TryGetValue<string>(out var text) && text == value))
            throw Fault(key, $"is {node.ToJsonString()}; known is \"{value}\"");
    }

    /// <summary>The rotary settings, from <c>rope_parameters</c> or the older <c>rope_theta</c> and <c>rope_scaling</c>.</summary>
    public RopeSettings Rope()
    {
        var theta = Double("rope_theta", 10000);
        if ((configuration["rope_parameters"] ?? configuration["rope_scaling"]) is not JsonObject rope) return new RopeSettings(theta);
        var type = (rope["rope_type"] ?? rope["type"])?.ToString() ?? "default";
        if (type is not ("default" or "llama3")) throw Fault("rope_type", $"is \"{type}\"; known are \"default\" and \"llama3\"");
        return new RopeSettings(
            Number(rope, "rope_theta", theta), type, Number(rope, "factor", 1), Number(rope, "low_freq_factor", 1), Number(rope, "high_freq_factor", 4),
            Number(rope, "original_max_position_embeddings", Double("max_position_embeddings", 8192)));
    }

    static double Number(JsonObject holder, string key, double otherwise)
    {
        if (holder[key] is not { } node) return otherwise;
        return node is JsonValue value && value.TryGetValue<double>(out var number) ? number : throw Fault(key, $"is {node.ToJsonString()}, not a number");
    }

    static InputException Fault(string key, string what) => new($"config.json: {key} {what}. Compare it with the model's published configuration.");
}
