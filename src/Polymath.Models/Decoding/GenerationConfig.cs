using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Models.Decoding;

/// <summary>
/// What a model's own files say about generation: <c>generation_config.json</c>, and <c>config.json</c> for what it leaves out.
/// </summary>
/// <param name="content">The content of <c>generation_config.json</c>.</param>
public sealed class GenerationConfig(JsonObject content)
{
    /// <summary>The file's name.</summary>
    public const string FileName = "generation_config.json";

    private const string EndKey = "eos_token_id";

    /// <summary>The content of the file.</summary>
    public JsonObject Content { get; } = content;

    /// <summary>Reads the file next to a model's configuration; null when there is none.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <exception cref="InputException">The file is not a JSON object.</exception>
    public static GenerationConfig? Read(string folder)
    {
        var file = Path.Combine(folder, FileName);
        return File.Exists(file) ? new GenerationConfig(ModelFolder.ReadObject(file)) : null;
    }

    /// <summary>The settings of a new model: the tokens that begin and end its texts; null when its configuration names none.</summary>
    /// <param name="configuration">The model's configuration.</param>
    public static GenerationConfig? Fresh(JsonObject configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        var content = new JsonObject();
        foreach (var key in new[] { "bos_token_id", EndKey, "pad_token_id" })
            if (configuration[key] is { } value) content[key] = value.DeepClone();
        return content.Count > 0 ? new GenerationConfig(content) : null;
    }

    /// <summary>Writes the file.</summary>
    /// <param name="folder">The model's folder.</param>
    public void Save(string folder) =>
        AtomicFile.WriteText(Path.Combine(folder, FileName), Content.ToJsonString(JsonLayout.Indented) + "\n");

    /// <summary>A number; null when the file has none under the key.</summary>
    /// <param name="key">The key, such as <c>top_p</c>.</param>
    /// <exception cref="InputException">The value is not a number.</exception>
    public double? Number(string key) => Content[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue<double>(out var number) => number,
        var node => throw Fault(key, node, "a number"),
    };

    /// <summary>A whole number; null when the file has none under the key.</summary>
    /// <param name="key">The key, such as <c>top_k</c>.</param>
    /// <exception cref="InputException">The value is not a whole number.</exception>
    public int? Count(string key) => Number(key) switch
    {
        null => null,
        { } number when number == Math.Floor(number) && Math.Abs(number) <= int.MaxValue => (int)number,
        _ => throw Fault(key, Content[key]!, "a whole number"),
    };

    /// <summary>True or false; null when the file has neither under the key.</summary>
    /// <param name="key">The key, such as <c>do_sample</c>.</param>
    /// <exception cref="InputException">The value is neither.</exception>
    public bool? Flag(string key) => Content[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue<bool>(out var flag) => flag,
        var node => throw Fault(key, node, "true or false"),
    };

    /// <summary>Texts; none when the file has none under the key.</summary>
    /// <param name="key">The key, such as <c>stop_strings</c>.</param>
    /// <exception cref="InputException">The value is neither a text nor a list of texts.</exception>
    public IReadOnlyList<string> Texts(string key) => Content[key] switch
    {
        null => [],
        JsonValue value when value.TryGetValue<string>(out var text) => [text],
        JsonArray list when list.All(item => item is JsonValue one && one.TryGetValue<string>(out _)) =>
            [.. list.Select(item => item!.GetValue<string>())],
        var node => throw Fault(key, node, "a text or a list of texts"),
    };

    // Settings that change an answer and have no counterpart here, with the value that changes nothing.
    private static readonly Dictionary<string, double?> foreign = new(StringComparer.Ordinal)
    {
        ["num_beams"] = 1,
        ["num_beam_groups"] = 1,
        ["diversity_penalty"] = 0,
        ["no_repeat_ngram_size"] = 0,
        ["encoder_no_repeat_ngram_size"] = 0,
        ["encoder_repetition_penalty"] = 1,
        ["typical_p"] = 1,
        ["epsilon_cutoff"] = 0,
        ["eta_cutoff"] = 0,
        ["penalty_alpha"] = 0,
        ["guidance_scale"] = 1,
        ["min_length"] = 0,
        ["min_new_tokens"] = 0,
        ["bad_words_ids"] = null,
        ["force_words_ids"] = null,
        ["suppress_tokens"] = null,
        ["begin_suppress_tokens"] = null,
        ["sequence_bias"] = null,
        ["forced_bos_token_id"] = null,
        ["forced_eos_token_id"] = null,
        ["exponential_decay_length_penalty"] = null,
    };

    /// <summary>The settings of the file that would change an answer in transformers and are not used here, with their values.</summary>
    public IReadOnlyList<string> Unused =>
    [
        .. foreign.Where(pair => Content[pair.Key] switch
        {
            null => false,
            JsonArray { Count: 0 } => false,
            JsonValue value when value.TryGetValue<double>(out var number) => number != pair.Value,
            _ => true,
        }).Select(pair => $"{pair.Key} {Content[pair.Key]!.ToJsonString()}"),
    ];

    /// <summary>
    /// Adds tokens that end an answer to a model's settings, such as those of the layout that it was trained with: other programs know an
    /// end only from this file.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="ends">The tokens.</param>
    public static void End(LanguageModel model, IReadOnlyList<int> ends)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model.Labels is not null || model.Reading == Reading.Encoder) return;
        int[] own = [.. EndsOf(model)], all = [.. own.Union(ends)];
        if (all.Length == own.Length) return;
        var content = model.Generation?.Content.DeepClone().AsObject() ?? Fresh(model.Configuration)?.Content ?? [];
        // Numbers as they are read from a file.
        content[EndKey] = JsonNode.Parse(all.Length == 1 ? $"{all[0]}" : $"[{string.Join(", ", all)}]");
        model.Generation = new GenerationConfig(content);
    }

    private static InputException Fault(string key, JsonNode found, string wanted) =>
        new($"{FileName}: {key} is {found.ToJsonString()}; write {wanted}, or remove it.");

    /// <summary>
    /// The tokens that end an answer by the model's own files, as in transformers: those of <c>generation_config.json</c>, or else those
    /// of <c>config.json</c>.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <exception cref="InputException">The value is neither a token's number nor a list of them.</exception>
    public static IReadOnlyList<int> EndsOf(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.Generation?.Content[EndKey] is { } own
            ? Numbers(own, FileName)
            : Numbers(model.Configuration[EndKey], "config.json");
    }

    private static int[] Numbers(JsonNode? node, string file) => node switch
    {
        null => [],
        JsonArray list => [.. list.Select(item => Number(item, node, file))],
        _ => [Number(node, node, file)],
    };

    private static int Number(JsonNode? item, JsonNode whole, string file) =>
        item is JsonValue value && value.TryGetValue<long>(out var number) && number is >= 0 and <= int.MaxValue
            ? (int)number
            : throw new InputException($"{file}: {EndKey} is {whole.ToJsonString()}; write a token's number from 0, or a list of them, "
                + "as in the model's published file.");
}
