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
