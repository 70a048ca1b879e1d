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
