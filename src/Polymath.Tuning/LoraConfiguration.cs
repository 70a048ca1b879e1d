using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Models.Parts;
using Polymath.Recipes;

namespace Polymath.Tuning;

/// <summary>A low-rank adapter's <c>adapter_config.json</c> as PEFT writes it. What is not understood is refused by name, never passed over.</summary>
public sealed class LoraConfiguration
{
    /// <summary>What PEFT puts before the base model's names.</summary>
    public const string Prefix = "base_model.model.";

    static readonly JsonSerializerOptions layout = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    // What is understood, or changes neither the mathematics nor the file. Every other setting is refused unless it is null, false or empty: PEFT grows new ones.
    static readonly HashSet<string> understood = new(StringComparer.Ordinal)
    {
        "peft_type", "task_type", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_version", "r", "lora_alpha", "lora_dropout", "use_rslora",
        "target_modules", "exclude_modules", "rank_pattern", "alpha_pattern", "layers_to_transform", "layers_pattern", "bias", "init_lora_weights", "fan_in_fan_out",
        "megatron_core", "qalora_group_size", "ensure_weight_tying",
    };

    // Ways to start that leave the base as it is; the others take something out of it when PEFT loads the adapter.
    static readonly string[] plainStarts = ["true", "false", "\"gaussian\"", "\"orthogonal\"", "null"];

    readonly JsonObject content;

    LoraConfiguration(JsonObject content, string origin)
    {
        this.content = content;
        Rank = (int)Number("r", 8);
        Alpha = Number("lora_alpha", 8);
        Dropout = Number("lora_dropout", 0);
        UseRslora = content["use_rslora"]?.GetValue<bool>() ?? false;
        TargetModules = content["target_modules"] switch
        {
            JsonArray list => [.. list.Select(item => item!.ToString())],
            JsonValue one => [one.ToString()],
            _ => throw new InputException($"{origin} names no target_modules."),
        };
        if (Rank < 1 || !(Dropout is >= 0 and < 1)) throw new InputException($"{origin}: r is {Rank} and lora_dropout {Dropout}; r must be at least 1, lora_dropout in [0, 1).");
        foreach (var (key, node) in content)
            if (!understood.Contains(key) && node is not null && node.ToJsonString() is not ("false" or "[]" or "{}" or "null"))
                throw new InputException($"{origin} sets {key} to {node.ToJsonString()}, which is not supported here. Train or convert the adapter without it.");
        if (content["init_lora_weights"] is { } start && !plainStarts.Contains(start.ToJsonString()))
            throw new InputException($"{origin} sets init_lora_weights to {start.ToJsonString()}, which changes the base model when it is loaded. Convert the adapter to a plain one first (PEFT's save_pretrained with path_initial_model_for_weight_conversion).");
        if (content["bias"]?.ToString() is { } bias && bias != "none") throw new InputException($"{origin} sets bias to \"{bias}\"; only \"none\" is supported here.");
    }

    /// <summary>r.</summary>
    public int Rank { get; }

    /// <summary>α.</summary>
    public double Alpha { get; }

    /// <summary>Dropout on the delta's input.</summary>
    public double Dropout { get; }

    /// <summary>Whether the scale is α/√r.</summary>
    public bool UseRslora { get; }

    /// <summary>The projections' names, their ends, one regular expression, or <c>all-linear</c>.</summary>
    public IReadOnlyList<string> TargetModules { get; }

    /// <summary>The configuration of a fresh adapter.</summary>
    /// <param name="method">The recipe's settings.</param>
    /// <param name="targets">The projections' names or their ends.</param>
    /// <param name="basis">The base model's name or folder.</param>
    public static LoraConfiguration For(LoraMethod method, IReadOnlyList<string> targets, string basis)
    {
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(targets);
        var everything = targets is ["all-linear"];
        return new LoraConfiguration(new JsonObject
        {
            ["alpha_pattern"] = new JsonObject(),
            ["auto_mapping"] = null,
            ["base_model_name_or_path"] = basis,
            ["bias"] = "none",
            ["exclude_modules"] = null,
            ["fan_in_fan_out"] = false,
            ["inference_mode"] = true,
            ["init_lora_weights"] = true,
            ["layers_pattern"] = null,
            ["layers_to_transform"] = null,
            ["lora_alpha"] = Shortest(method.LoraAlpha),
            ["lora_bias"] = false,
            ["lora_dropout"] = method.LoraDropout,
            ["modules_to_save"] = null,
            ["peft_type"] = "LORA",
            ["r"] = method.R,
            ["rank_pattern"] = new JsonObject(),
            ["revision"] = null,
            ["target_modules"] = everything ? "all-linear" : new JsonArray([.. targets.Select(target => JsonValue.Create(target))]),
            ["task_type"] = "CAUSAL_LM",
            ["use_dora"] = false,
            ["use_rslora"] = method.UseRslora,
        }, "the recipe");
    }

    /// <summary>Reads an <c>adapter_config.json</c>.</summary>
    /// <param name="file">The file.</param>
    public static LoraConfiguration Read(string file)
    {
        try
        {
            var content = JsonNode.Parse(File.ReadAllBytes(file)) as JsonObject ?? throw new InputException($"{file} is not a JSON object.");
            var type = content["peft_type"]?.ToString();
            return type == "LORA" ? new LoraConfiguration(content, file) : throw new InputException($"{file} describes an adapter of the type '{type}'; known is 'LORA'.");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException or InvalidOperationException or FormatException)
        {
            throw new InputException($"{file} cannot be read as an adapter's configuration: {e.Message} Name a folder with adapter_config.json, as PEFT and `polymath adapter import` write it.", e);
        }
    }

    /// <summary>Whether the adapter goes to a projection.</summary>
    /// <param name="projection">The projection.</param>
    public bool Targets(Projection projection)
    {
        ArgumentNullException.ThrowIfNull(projection);
        if (content["exclude_modules"] is { } excluded && Fits(Texts(excluded), excluded is JsonValue, projection.Name)) return false;
        if (content["layers_to_transform"] is { } layers && !Texts(layers).Contains(projection.Layer.ToString())) return false;
        return Fits(TargetModules, content["target_modules"] is JsonValue, projection.Name);
    }

    /// <summary>The rank and the scale at a projection.</summary>
    /// <param name="name">The projection's name.</param>
    public (int Rank, double Scale) SizeFor(string name)
    {
        var rank = (int)Special("rank_pattern", name, Rank);
        var alpha = Special("alpha_pattern", name, Alpha);
        return (rank, UseRslora ? alpha / Math.Sqrt(rank) : alpha / rank);
    }

    /// <summary>The file's content: indented by two, keys in order.</summary>
    public string ToJson()
    {
        var sorted = new JsonObject();
        foreach (var (key, value) in content.OrderBy(pair => pair.Key, StringComparer.Ordinal)) sorted[key] = value?.DeepClone();
        return sorted.ToJsonString(layout) + "\n";
    }

    static bool Fits(IReadOnlyList<string> targets, bool single, string name)
    {
        if (single && targets[0] == "all-linear") return true;
        if (single) return Regex.IsMatch(name, $"^(?:{targets[0]})$", RegexOptions.None, TimeSpan.FromSeconds(1));
        return targets.Any(target => name == target || name.EndsWith("." + target, StringComparison.Ordinal));
    }

    static List<string> Texts(JsonNode node) => node is JsonArray list ? [.. list.Select(item => item!.ToString())] : [node.ToString()];

    double Special(string key, string name, double otherwise)
    {
        if (content[key] is not JsonObject patterns) return otherwise;
        foreach (var (pattern, value) in patterns)
            if (Regex.IsMatch(name, $@"^(?:.*\.)?(?:{pattern})$", RegexOptions.None, TimeSpan.FromSeconds(1))) return ToDouble(value!);
        return otherwise;
    }

    double Number(string key, double otherwise) => content[key] is { } node ? ToDouble(node) : otherwise;

    // A value that was set in memory only gives its own type back; its text gives any.
    static double ToDouble(JsonNode node) => double.Parse(node.ToJsonString());

    // PEFT writes a whole alpha without a point.
    static JsonValue Shortest(double number) => number == Math.Floor(number) ? JsonValue.Create((long)number) : JsonValue.Create(number);
}
