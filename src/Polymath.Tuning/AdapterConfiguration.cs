using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Models.Parts;
using Polymath.Recipes;

namespace Polymath.Tuning;

/// <summary>An adapter's <c>adapter_config.json</c> as PEFT writes it. An unknown setting is refused by name, never ignored.</summary>
public sealed class AdapterConfiguration
{
    /// <summary>The prefix that PEFT adds to the base model's names.</summary>
    public const string Prefix = "base_model.model.";

    // Settings that every method may have, and settings that change neither the mathematics nor the file.
    private static readonly string[] common =
    [
        "peft_type", "task_type", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_version", "target_modules",
        "exclude_modules", "layers_to_transform", "layers_pattern",
        "modules_to_save", "megatron_core", "ensure_weight_tying", "fan_in_fan_out",
    ];

    private readonly JsonObject content;

    private AdapterConfiguration(JsonObject content, string origin) => (this.content, Origin) = (content, origin);

    /// <summary>The file it was read from, for messages.</summary>
    public string Origin { get; }

    /// <summary>The method: PEFT's <c>peft_type</c>.</summary>
    public string Type => content["peft_type"]?.ToString()
        ?? throw new InputException($"{Origin} has no peft_type, so the kind of adapter is unknown.");

    /// <summary>
    /// The prefix that PEFT adds to the names of the model's own weights. Around a model with a prompt, PEFT has one wrapper less.
    /// </summary>
    public string OwnPrefix => Type is "PROMPT_TUNING" or "P_TUNING" or "PREFIX_TUNING" ? "base_model." : Prefix;

    /// <summary>Whether it has a value for a setting.</summary>
    /// <param name="key">The setting.</param>
    public bool Has(string key) => content[key] is not null;

    /// <summary>Writes what a configuration of its kind holds even where nothing was chosen.</summary>
    /// <param name="defaults">The settings; those that are here already stay.</param>
    internal void Fill(JsonObject defaults)
    {
        foreach (var (key, value) in defaults)
            if (!content.ContainsKey(key)) content[key] = value?.DeepClone();
    }

    /// <summary>A configuration from memory.</summary>
    /// <param name="content">The settings.</param>
    /// <param name="origin">Its name in messages.</param>
    public static AdapterConfiguration Of(JsonObject content, string origin) =>
        new((JsonObject)JsonNode.Parse(content?.ToJsonString() ?? "{}")!, origin);

    /// <summary>Reads an <c>adapter_config.json</c>.</summary>
    /// <param name="file">The file.</param>
    public static AdapterConfiguration Read(string file)
    {
        if (!File.Exists(file) && Path.GetDirectoryName(file) is { } folder
            && File.Exists(Path.Combine(folder, AttachedAdapters.IndexFile)))
            throw new InputException($"{folder} holds several adapters. Name one of them: "
                + $"{string.Join(", ", AttachedAdapters.ReadIndex(folder).Names.Select(name => Path.Combine(folder, name)))}.");
        if (!File.Exists(file))
        {
            var place = Path.GetDirectoryName(file) is { Length: > 0 } named ? named : ".";
            var name = Path.GetFileName(file);
            if (!Directory.Exists(place))
                throw new InputException($"There is no folder {place}. Name the folder of an adapter, with {name}.");
            throw new InputException(Directory.Exists(Path.Combine(place, "adapter"))
                ? $"{place} has no {name}; did you mean {Path.Combine(place, "adapter")}?"
                : $"{place} has no {name}. Name the folder of an adapter, as PEFT and `polymath adapter import` write it.");
        }
        try
        {
            return new AdapterConfiguration(
                JsonNode.Parse(
                    File.ReadAllBytes(file), documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false }) as JsonObject
                    ?? throw new InputException($"{file} is not a JSON object."),
                file);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new InputException(
                $"{file} cannot be read as an adapter's configuration: {e.Message} Name a folder with adapter_config.json, as PEFT and "
                    + "`polymath adapter import` write it.",
                e);
        }
    }

    /// <summary>Throws when a method does not know a setting, unless the setting is empty: PEFT adds new settings over time.</summary>
    /// <param name="own">The method's own settings.</param>
    /// <param name="strict">Whether an empty one is refused, too, as in a recipe.</param>
    public void Understands(IEnumerable<string> own, bool strict = false)
    {
        var known = common.Concat(own).ToHashSet(StringComparer.Ordinal);
        foreach (var (key, node) in content)
            if (strict && !known.Contains(key) && key != "bias")
                throw new InputException($"{Origin} sets {key}: {(Nearest.To(key, own) is { } near ? $"did you mean '{near}'? " : "")}the "
                    + $"settings of a {Type} are {string.Join(", ", own)}.");
            else if (!known.Contains(key) && node is not null
                && node.ToJsonString() is not ("false" or "[]" or "{}" or "null" or "0" or "0.0" or "\"none\""))
                throw new InputException($"{Origin} sets {key} to {node.ToJsonString()}, which is not supported here: the settings of a "
                    + $"{Type} are {string.Join(", ", own)}. Train or convert the adapter without it.");
    }

    /// <summary>A number.</summary>
    /// <param name="key">The setting.</param>
    /// <param name="otherwise">Its default.</param>
    public double Number(string key, double otherwise) => content[key] is { } node ? ToDouble(key, node) : otherwise;

    /// <summary>A whole number within bounds.</summary>
    /// <param name="key">The setting.</param>
    /// <param name="otherwise">Its default.</param>
    /// <param name="least">The smallest allowed value.</param>
    public int Whole(string key, int otherwise, int least = 1)
    {
        var number = Number(key, otherwise);
        return number == Math.Floor(number) && number >= least && number <= int.MaxValue
            ? (int)number
            : throw Fault(key, $"a whole number from {least} is needed");
    }

    /// <summary>Whether a setting is true.</summary>
    /// <param name="key">The setting.</param>
    /// <param name="otherwise">Its default.</param>
    public bool Flag(string key, bool otherwise = false) => content[key] switch
    {
        null => otherwise,
        JsonValue value when value.TryGetValue<bool>(out var flag) => flag,
        _ => throw Fault(key, "true or false is needed"),
    };

    /// <summary>A text, or null.</summary>
    /// <param name="key">The setting.</param>
    public string? Text(string key) => content[key] switch
    {
        null => null,
        JsonValue value => value.ToString(),
        _ => throw Fault(key, "one text is needed"),
    };

    /// <summary>A setting as it is written, or null.</summary>
    /// <param name="key">The setting.</param>
    public JsonNode? Raw(string key) => content[key];

    /// <summary>Marks the initialization as done: the file is plain from here on, and the base is not quantized again.</summary>
    internal void Started()
    {
        content["init_lora_weights"] = true;
        content.Remove("loftq_config");
        content.Remove("eva_config");
    }

    /// <summary>Stores the results of the training.</summary>
    internal void Set(string key, JsonNode? value) => content[key] = value;

    /// <summary>Removes a setting.</summary>
    internal void Remove(string key) => content.Remove(key);

    /// <summary>A list of texts; one text is a list of one.</summary>
    /// <param name="key">The setting.</param>
    public IReadOnlyList<string> Texts(string key) => content[key] switch
    {
        null => [],
        JsonArray list => [.. list.Select(item => item?.ToString() ?? "")],
        JsonObject => throw Fault(key, "a list of names is needed"),
        var one => [one.ToString()],
    };

    /// <summary>A fault of a setting.</summary>
    /// <param name="key">The setting.</param>
    /// <param name="wish">What is needed.</param>
    /// <param name="cause">The exception that showed it, or null.</param>
    public InputException Fault(string key, string wish, Exception? cause = null) =>
        new($"{Origin}: {key} is {content[key]?.ToJsonString() ?? "not set"}; {wish}.", cause!);

    /// <summary>
    /// Modules in the form of <c>target_modules</c>: a list of ends of names, or a text for <c>all-linear</c> or for one regular expression
    /// over whole names.
    /// </summary>
    /// <param name="modules">The modules.</param>
    public static JsonNode Named(IReadOnlyList<string> modules) =>
        modules is ["all-linear"] || modules is [var one] && one.IndexOfAny(['*', '+', '?', '|', '(', '[', '^', '$', '\\']) >= 0
            ? JsonValue.Create(modules[0])
            : new JsonArray([.. modules.Select(module => JsonValue.Create(module))]);

    /// <summary>
    /// The modules the adapter applies to: their names, the ends of their names, one regular expression, or <c>all-linear</c>.
    /// </summary>
    public IReadOnlyList<string> TargetModules => Texts("target_modules");

    /// <summary>Whether the adapter applies to a module.</summary>
    /// <param name="module">The module's name.</param>
    /// <param name="linear">Whether it is one of the linear maps that <c>all-linear</c> means.</param>
    public bool Targets(string module, bool linear)
    {
        try
        {
            return Fits(module, linear);
        }
        catch (Exception e) when (e is RegexMatchTimeoutException or RegexParseException)
        {
            throw Fault(
                "target_modules",
                $"as a regular expression over {module} this fails: {e.Message} Name the modules, or the ends of their names, in a list",
                e);
        }
    }

    // As in PEFT: a module that is saved whole gets no delta; one regular expression or a whole name decides alone; the ends of names apply
    // in the named blocks.
    private bool Fits(string module, bool linear)
    {
        if (content["exclude_modules"] is { } excluded && Fits(Texts("exclude_modules"), excluded is JsonValue, module, linear))
            return false;
        if (Texts("modules_to_save").Any(saved => Match(module, $@"^(?:.*\.)?(?:{saved})(?:$|\.)"))) return false;
        if (!Fits(TargetModules, content["target_modules"] is JsonValue, module, linear)) return false;
        var whole = content["target_modules"] is JsonValue ? TargetModules is not ["all-linear"] : TargetModules.Contains(module);
        return whole || Texts("layers_to_transform") is not { Count: > 0 } layers
            || BlockOf(module, Texts("layers_pattern")) is { } block && layers.Contains(block);
    }

    /// <summary>
    /// The number after the first list of blocks in a module's name, or after a list with a given name; null when there is none.
    /// </summary>
    /// <param name="module">The module's name.</param>
    /// <param name="names">Names of lists of blocks, or none.</param>
    internal static string? BlockOf(string module, IReadOnlyList<string> names)
    {
        foreach (var list in names.Where(name => name.Length > 0).DefaultIfEmpty("[^.]*"))
            if (Regex.Match(module, $@"^.*?\.(?:{list})\.(\d+)\.", RegexOptions.None, TimeSpan.FromSeconds(1)) is { Success: true } found)
                return found.Groups[^1].Value;
        return null;
    }

    // Python has another syntax for named groups.
    private static bool Match(string text, string pattern) =>
        Regex.IsMatch(text, pattern.Replace("(?P<", "(?<", StringComparison.Ordinal), RegexOptions.None, TimeSpan.FromSeconds(1));

    /// <summary>Whether the adapter applies to a projection.</summary>
    /// <param name="projection">The projection.</param>
    public bool Targets(Projection projection)
    {
        ArgumentNullException.ThrowIfNull(projection);
        return Targets(projection.Name, projection.Role is not (Role.Head or Role.Router));
    }

    /// <summary>
    /// Whether a setting other than the targets matches a module, by PEFT's rules: one regular expression over the whole name, or a list of
    /// ends of names, which may start within a word.
    /// </summary>
    /// <param name="key">The setting.</param>
    /// <param name="module">The module's name.</param>
    public bool FitsEnd(string key, string module)
    {
        try
        {
            return content[key] is JsonValue
                ? Match(module, $"^(?:{Text(key)})$")
                : Texts(key).Any(end => module.EndsWith(end, StringComparison.Ordinal));
        }
        catch (Exception e) when (e is RegexMatchTimeoutException or RegexParseException)
        {
            throw Fault(
                key,
                $"as a regular expression over {module} this fails: {e.Message} Name the modules, or the ends of their names, in a list",
                e);
        }
    }

    private static bool Fits(IReadOnlyList<string> targets, bool single, string name, bool linear)
    {
        if (targets is ["all-linear"]) return linear;
        if (single) return Match(name, $"^(?:{targets[0]})$");
        return targets.Any(target => Means(target, name));
    }

    /// <summary>Whether a name in the settings is that of a module, or its end after a dot.</summary>
    /// <param name="name">The name in the settings.</param>
    /// <param name="module">The module's name.</param>
    internal static bool Means(string name, string module) => module == name || module.EndsWith("." + name, StringComparison.Ordinal);

    /// <summary>A number that a pattern of names may override (<c>rank_pattern</c>, <c>alpha_pattern</c>).</summary>
    /// <param name="key">The setting with the patterns.</param>
    /// <param name="module">The module's name.</param>
    /// <param name="otherwise">The value when no pattern matches.</param>
    /// <param name="within">Whether a pattern must start after a dot, unless it is the whole name (<c>n_frequency_pattern</c>).</param>
    public double Special(string key, string module, double otherwise, bool within = false)
    {
        foreach (var (pattern, value) in Parts(key) ?? [])
            if (FitsPattern(key, pattern, module, within)) return value is null ? otherwise : ToDouble(key, value);
        return otherwise;
    }

    /// <summary>A size that a pattern of names may override: a whole number from 1.</summary>
    /// <param name="key">The setting with the patterns.</param>
    /// <param name="module">The module's name.</param>
    /// <param name="otherwise">The value when no pattern matches.</param>
    /// <param name="within">As above.</param>
    public int SpecialSize(string key, string module, int otherwise, bool within = false) =>
        Special(key, module, otherwise, within) is var size && size == Math.Floor(size) && size is >= 1 and <= int.MaxValue
            ? (int)size
            : throw Fault(key, "whole numbers from 1 are needed");

    /// <summary>The settings inside a setting; null when it is missing.</summary>
    /// <param name="key">The setting.</param>
    public JsonObject? Parts(string key) => content[key] is not { } node
        ? null
        : node as JsonObject ?? throw Fault(key, "an object of names and values is needed, in JSON, such as {\"name\": 4}");

    /// <summary>Whether a pattern of names matches a module.</summary>
    /// <param name="key">The setting that has it.</param>
    /// <param name="pattern">The pattern.</param>
    /// <param name="module">The module's name.</param>
    /// <param name="within">Whether it must start after a dot, unless it is the whole name.</param>
    public bool FitsPattern(string key, string pattern, string module, bool within = false)
    {
        try
        {
            return within && pattern == module || Match(module, $@"^(?:.*\.){(within ? "" : "?")}(?:{pattern})$");
        }
        catch (Exception e) when (e is RegexMatchTimeoutException or RegexParseException)
        {
            throw Fault(
                key, $"as a regular expression over {module} this fails: {e.Message} Name the modules, or the ends of their names", e);
        }
    }

    /// <summary>The file's content: indented by two, with keys in order.</summary>
    public string ToJson()
    {
        var sorted = new JsonObject();
        foreach (var (key, value) in content.OrderBy(pair => pair.Key, StringComparer.Ordinal)) sorted[key] = value?.DeepClone();
        return sorted.ToJsonString(JsonLayout.Indented) + "\n";
    }

    // A value that was set in memory can be read only as its own type; its text can be read as any type.
    private double ToDouble(string key, JsonNode node) =>
        double.TryParse(node.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number)
            ? number
            : throw Fault(key, "a number is needed");
}
