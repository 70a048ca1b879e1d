using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Recipes;

namespace Polymath.Models;

/// <summary>Reads the values of a <c>config.json</c> and reports missing values and values of the wrong kind.</summary>
/// <param name="configuration">The content.</param>
public sealed class ConfigReader(JsonObject configuration)
{
    /// <summary>The first of <c>architectures</c>, such as <c>LlamaForCausalLM</c>; empty where none is named.</summary>
    public string Architecture => Texts("architectures") is [var first, ..] ? first : "";

    /// <summary>The number of labels: <c>num_labels</c>, or as many as <c>id2label</c> names, or two.</summary>
    public int Labels() => configuration["id2label"] is JsonObject { Count: > 0 } names ? names.Count : Int("num_labels", 2);

    /// <summary>The labels' names in the order of their numbers; <c>LABEL_0</c> and so on where <c>id2label</c> names none.</summary>
    public IReadOnlyList<string> LabelNames()
    {
        if (configuration["id2label"] is not JsonObject { Count: > 0 } names)
            return [.. Enumerable.Range(0, Labels()).Select(number => $"LABEL_{number}")];
        return [.. Enumerable.Range(0, names.Count)
            .Select(number => names[number.ToString(System.Globalization.CultureInfo.InvariantCulture)]?.ToString()
                ?? throw Fault("id2label", $"names {names.Count} labels and none of the number {number}"))];
    }

    /// <summary>For each layer, the window of its attention; 0 when it sees all earlier tokens.</summary>
    /// <param name="layers">The number of layers.</param>
    /// <param name="slides">Whether a layer has a sliding window, when <c>layer_types</c> is missing.</param>
    /// <param name="missing">The window where the key is missing.</param>
    public int[] Windows(int layers, Func<int, bool> slides, int missing)
    {
        var window = Window(missing);
        var types = Texts("layer_types");
        if (types.Count > 0 && types.Count < layers) throw Fault("layer_types", $"names {types.Count} layers of {layers}");
        bool Slides(int layer) => types.Count > 0 ? types[layer] == "sliding_attention" : slides(layer);
        return [.. Enumerable.Range(0, layers).Select(layer => Slides(layer) ? window : 0)];
    }

    /// <summary>The window of sliding attention; 0 for none.</summary>
    /// <param name="missing">The window where the key is missing; null in a file means none.</param>
    public int Window(int missing = 0) => Has("sliding_window") ? Maybe("sliding_window") ?? 0 : missing;

    /// <summary>Whether a key exists, even with the value null.</summary>
    /// <param name="key">The key.</param>
    public bool Has(string key) => configuration.ContainsKey(key);

    /// <summary>A whole number, at least 1.</summary>
    /// <param name="key">The key.</param>
    /// <param name="otherwise">The value where the key is missing or null; without a default the key is required.</param>
    public int Int(string key, int? otherwise = null)
    {
        if (configuration[key] is not { } node) return otherwise ?? throw Fault(key, "is missing");
        return node is JsonValue value && value.TryGetValue<long>(out var number) && number is > 0 and <= int.MaxValue
            ? (int)number
            : throw Fault(key, $"is {node.ToJsonString()}, not a whole number from 1");
    }

    /// <summary>
    /// A whole number, at least 1, under the first existing one of several keys: older and newer files name some settings differently.
    /// </summary>
    /// <param name="keys">The keys.</param>
    /// <param name="otherwise">The value when none exists; null when the first key is required.</param>
    public int IntOf(string[] keys, int? otherwise = null)
    {
        ArgumentNullException.ThrowIfNull(keys);
        return Int(Array.Find(keys, key => configuration[key] is not null) ?? keys[0], otherwise);
    }

    /// <summary>A whole number from 0, or null when the key is missing or null: a token's number, a window.</summary>
    /// <param name="key">The key.</param>
    public int? Maybe(string key)
    {
        if (configuration[key] is not { } node) return null;
        return node is JsonValue value && value.TryGetValue<long>(out var number) && number is >= 0 and <= int.MaxValue
            ? (int)number
            : throw Fault(key, $"is {node.ToJsonString()}, not a whole number from 0");
    }

    /// <summary>A text.</summary>
    /// <param name="key">The key.</param>
    /// <param name="otherwise">The value where the key is missing or null.</param>
    public string Text(string key, string otherwise)
    {
        if (configuration[key] is not { } node) return otherwise;
        return node is JsonValue value && value.TryGetValue<string>(out var text)
            ? text
            : throw Fault(key, $"is {node.ToJsonString()}, not a text");
    }

    /// <summary>A list of texts; empty where the key is missing or null.</summary>
    /// <param name="key">The key.</param>
    public IReadOnlyList<string> Texts(string key) =>
        configuration[key] is JsonArray array ? [.. array.Select(item => item?.ToString() ?? "")] : [];

    /// <summary>A list of numbers; empty where the key is missing or null.</summary>
    /// <param name="key">The key.</param>
    public IReadOnlyList<double> Numbers(string key) => Numbers(configuration, key);

    /// <summary>A number.</summary>
    /// <param name="key">The key.</param>
    /// <param name="otherwise">The value where the key is missing or null.</param>
    public double Double(string key, double otherwise) => Number(configuration, key, otherwise);

    /// <summary>Two numbers, the least and the most; JSON has no infinity, so an entry that is no number stands for no limit.</summary>
    /// <param name="key">The key.</param>
    /// <param name="least">The first one where the key is missing or null.</param>
    /// <param name="most">The second one.</param>
    public (double Least, double Most) Range(string key, double least, double most)
    {
        if (configuration[key] is not { } node) return (least, most);
        if (node is not JsonArray { Count: 2 } pair) throw Fault(key, $"is {node.ToJsonString()}, not a list of two numbers");
        double At(int place, double otherwise) => pair[place] is JsonValue value && value.TryGetValue<double>(out var number)
            ? number
            : otherwise;
        return (At(0, double.NegativeInfinity), At(1, double.PositiveInfinity));
    }

    /// <summary>A number that may be switched off: 0 where the key is null.</summary>
    /// <param name="key">The key.</param>
    /// <param name="missing">The value where the key is missing.</param>
    public double DoubleOrNone(string key, double missing) => Number(configuration, key, Has(key) ? 0 : missing);

    /// <summary>True or false.</summary>
    /// <param name="key">The key.</param>
    /// <param name="otherwise">The value where the key is missing or null.</param>
    public bool Bool(string key, bool otherwise)
    {
        if (configuration[key] is not { } node) return otherwise;
        return node is JsonValue value && value.TryGetValue<bool>(out var flag)
            ? flag
            : throw Fault(key, $"is {node.ToJsonString()}, neither true nor false");
    }

    /// <summary>Refuses all values except one.</summary>
    /// <param name="key">The key; it may be missing.</param>
    /// <param name="value">The value it must have.</param>
    public void Expect(string key, string value)
    {
        if (configuration[key] is { } node && !(node is JsonValue found && found.TryGetValue<string>(out var text) && text == value))
            throw Fault(key, $"is {node.ToJsonString()}; known is \"{value}\"");
    }

    /// <summary>Corrects a value that contradicts the files.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">The correct value.</param>
    internal void Correct(string key, bool value) => configuration[key] = value;

    /// <summary>
    /// The rotary settings, from <c>rope_parameters</c> or the older <c>rope_theta</c>, <c>rope_scaling</c> and
    /// <c>partial_rotary_factor</c>.
    /// </summary>
    /// <param name="theta">The base when none is given.</param>
    /// <param name="partial">The share of a head that is rotated, when none is given.</param>
    /// <exception cref="InputException">The type is not known, or a setting that it needs is missing.</exception>
    public RopeSettings Rope(double theta = 10000, double partial = 1) => RopeReader.Read(this, configuration, theta, partial);

    /// <summary>The rotary settings of one kind of layers (<c>full_attention</c>, <c>sliding_attention</c>).</summary>
    /// <param name="kind">The kind.</param>
    /// <param name="theta">The base when none is given.</param>
    public RopeSettings RopeOf(string kind, double theta) => RopeReader.Read(
        this,
        configuration,
        theta,
        1,
        kind);

    /// <summary>Whether the rotary settings are given for each kind of layers.</summary>
    public bool HasRopeKinds => configuration["rope_parameters"] is JsonObject rope && rope.Any(pair => pair.Value is JsonObject);

    /// <summary>A number among the rotary settings.</summary>
    /// <param name="key">The key.</param>
    /// <param name="otherwise">The value where the key is missing or null.</param>
    public double OfRope(string key, double otherwise) =>
        (configuration["rope_parameters"] ?? configuration["rope_scaling"]) is JsonObject rope ? Number(rope, key, otherwise) : otherwise;

    /// <summary>True or false; some published files have a number, where 0 is false.</summary>
    /// <param name="key">The key.</param>
    /// <param name="otherwise">The value where the key is missing or null.</param>
    public bool Switch(string key, bool otherwise) => configuration[key] is JsonValue value && value.TryGetValue<double>(out var number)
        ? number != 0
        : Bool(key, otherwise);

    /// <summary>Refuses all values except one.</summary>
    /// <param name="key">The key; it may be missing or null.</param>
    /// <param name="value">The value it must have.</param>
    public void Expect(string key, bool value)
    {
        if (Bool(key, value) != value) throw Fault(key, $"is {(value ? "false" : "true")}, which is not supported");
    }

    /// <summary>The kinds of the layers: <c>layer_types</c>, or what the family makes of its older keys.</summary>
    /// <param name="layers">The number of layers.</param>
    /// <param name="kind">The kind of a layer, where none is listed.</param>
    /// <param name="known">The kinds that the family has.</param>
    public string[] LayerTypes(int layers, Func<int, string> kind, params string[] known)
    {
        ArgumentNullException.ThrowIfNull(kind);
        var types = Texts("layer_types");
        if (types.Count > 0 && types.Count < layers) throw Fault("layer_types", $"names {types.Count} layers of {layers}");
        if (types.FirstOrDefault(type => !known.Contains(type)) is { } other)
            throw Fault("layer_types", $"has \"{other}\"; known are {string.Join(", ", known)}");
        return [.. Enumerable.Range(0, layers).Select(layer => types.Count > 0 ? types[layer] : kind(layer))];
    }

    internal static IReadOnlyList<double> Numbers(JsonObject holder, string key)
    {
        if (holder[key] is not { } node) return [];
        return node is JsonArray array && array.All(item => item is JsonValue value && value.TryGetValue<double>(out _))
            ? [.. array.Select(item => item!.GetValue<double>())]
            : throw Fault(key, $"is {node.ToJsonString()}, not a list of numbers");
    }

    internal static double Number(JsonObject holder, string key, double otherwise)
    {
        if (holder[key] is not { } node) return otherwise;
        return node is JsonValue value && value.TryGetValue<double>(out var number)
            ? number
            : throw Fault(key, $"is {node.ToJsonString()}, not a number");
    }

    internal static InputException Fault(string key, string what) =>
        new($"config.json: {key} {what}. Compare it with the model's published configuration.");
}
