using System.Text.Json.Nodes;
using Polymath.Models.Parts;

namespace Polymath.Models;

/// <summary>
/// Reads the rotary positions. A way to stretch the context must have every setting that its formula needs, or it is refused: with a
/// guessed value, the model would answer wrongly. The needed settings are those that transformers 5 requires
/// (<c>modeling_rope_utils.py</c>).
/// </summary>
internal static class RopeReader
{
    private const string Original = "original_max_position_embeddings";

    private static readonly Dictionary<string, string[]> needed = new(StringComparer.Ordinal)
    {
        ["default"] = [],
        ["linear"] = ["factor"],
        ["dynamic"] = ["factor"],
        ["llama3"] = ["factor", "low_freq_factor", "high_freq_factor", Original],
        // The context before the stretch is max_position_embeddings when these two do not name it.
        ["yarn"] = ["factor"],
        ["longrope"] = ["short_factor", "long_factor"],
        ["proportional"] = [],
    };

    /// <summary>The settings of a configuration.</summary>
    /// <param name="read">The configuration's reader.</param>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="theta">The base when none is given.</param>
    /// <param name="partial">The share of a head that is rotated, when none is given.</param>
    /// <param name="kind">The kind of layers, where a configuration has settings for each kind; null for one set for all.</param>
    internal static RopeSettings Read(
        ConfigReader read,
        JsonObject configuration,
        double theta,
        double partial,
        string? kind = null)
    {
        var key = configuration["rope_parameters"] is null ? "rope_scaling" : "rope_parameters";
        if (configuration[key] is not (null or JsonObject))
            throw ConfigReader.Fault(key, $"is {configuration[key]!.ToJsonString()}, not an object");
        var rope = configuration[key] as JsonObject ?? [];
        if (kind is not null && rope[kind] is JsonObject own) rope = own;
        var type = TypeOf(rope);
        Check(read, key, rope, type);
        double context = read.Double("max_position_embeddings", 2048);
        // Phi stores the context before the stretch outside the rotary settings, and that value counts.
        var original = type == "dynamic" ? context : read.Double(Original, Number(rope, Original, context));
        var settings = new RopeSettings(Number(rope, "rope_theta", read.Double("rope_theta", theta)))
        {
            Type = type,
            OriginalContext = original,
            Factor = Number(rope, "factor", type is "yarn" or "longrope" ? context / original : 1),
            Partial = Number(rope, "partial_rotary_factor", read.Double("partial_rotary_factor", partial)),
            LowFrequencyFactor = Number(rope, "low_freq_factor", 1),
            HighFrequencyFactor = Number(rope, "high_freq_factor", 4),
            BetaFast = Number(rope, "beta_fast", 32),
            BetaSlow = Number(rope, "beta_slow", 1),
            Truncate = rope["truncate"]?.ToString() is not ("false" or "False"),
            AttentionFactor = rope["attention_factor"] is null ? null : Number(rope, "attention_factor", 1),
            AttentionScales = (Number(rope, "mscale", 0), Number(rope, "mscale_all_dim", 0)),
            ShortFactors = ConfigReader.Numbers(rope, "short_factor"),
            LongFactors = ConfigReader.Numbers(rope, "long_factor"),
        };
        if (settings is not { Theta: > 0, Factor: > 0, OriginalContext: > 0, Partial: > 0 and <= 1 })
            throw ConfigReader.Fault(key,
                $"is {rope.ToJsonString()}: the base, the factor and the contexts must be above 0, the partial factor at most 1");
        return settings;
    }

    private static double Number(JsonObject rope, string key, double otherwise) => ConfigReader.Number(rope, key, otherwise);

    private static string TypeOf(JsonObject rope)
    {
        var type = (rope["rope_type"] ?? rope["type"])?.ToString() ?? "default";
        // Phi 3's first files have older names for the same.
        if (type == "su" || type == "yarn" && rope.ContainsKey("short_factor")) return "longrope";
        if (needed.ContainsKey(type)) return type;
        var hint = type == "ntk" ? " (the scaling that depends on the length, NTK-aware, is \"dynamic\")" : "";
        throw ConfigReader.Fault("rope_type",
            $"is \"{type}\"; known are {string.Join(", ", needed.Keys.Select(known => $"\"{known}\""))}{hint}");
    }

    private static void Check(ConfigReader read, string key, JsonObject rope, string type)
    {
        if (rope.FirstOrDefault(pair => pair.Value is JsonObject) is { Key: { } kind })
            throw ConfigReader.Fault(key, $"has settings of its own for \"{kind}\"; only one set for all layers is supported");
        // A null factor of YaRN follows from the two contexts; a missing key is a fault.
        bool Has(string name) => rope[name] is not null || name == Original && read.Has(name) || name == "factor" && type == "yarn"
            && rope.ContainsKey(name);
        if (Array.Find(needed[type], name => !Has(name)) is { } missing)
            throw ConfigReader.Fault($"{key}.{missing}",
                $"is missing, and rope_type \"{type}\" needs it (all of {string.Join(", ", needed[type])})");
    }
}
