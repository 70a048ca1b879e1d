using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Text.Templates;

/// <summary>
/// What <c>tokenizer_config.json</c> and its neighbours say about conversations: the special tokens by name, and the chat template.
/// </summary>
static class ChatFiles
{
    internal const string Settings = "tokenizer_config.json", Template = "chat_template.jinja";

    /// <summary>The special tokens by name, such as <c>eos_token</c>.</summary>
    internal static Dictionary<string, string> Tokens(string folder)
    {
        var tokens = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var file in new[] { "special_tokens_map.json", Settings })
        {
            foreach (var (name, node) in Read(Path.Combine(folder, file)))
            {
                var text = node is JsonObject token
                    ? token["content"]?.ToString()
                    : node is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.ToString()
                    : null;
                if (name.EndsWith("_token", StringComparison.Ordinal) && text is not null) tokens[name] = text;
            }
        }
        return tokens;
    }

    /// <summary>
    /// The chat template of a folder: its own file, or the settings' one, of several the one named <c>default</c>; null where there is
    /// none.
    /// </summary>
    internal static JinjaTemplate? Chat(string folder)
    {
        var file = Path.Combine(folder, Template);
        if (File.Exists(file)) return JinjaTemplate.Parse(File.ReadAllText(file), file);
        var settings = Path.Combine(folder, Settings);
        var source = Read(settings)["chat_template"] switch
        {
            JsonArray { Count: > 0 } list =>
                (list.FirstOrDefault(item => item?["name"]?.ToString() == "default") ?? list[0])?["template"]?.ToString(),
            JsonValue value when value.GetValueKind() == JsonValueKind.String => value.ToString(),
            _ => null,
        };
        return source is null ? null : JinjaTemplate.Parse(source, $"{settings}, chat_template");
    }

    private static JsonObject Read(string file)
    {
        if (!File.Exists(file)) return [];
        try
        {
            return JsonNode.Parse(File.ReadAllBytes(file)) as JsonObject ?? [];
        }
        catch (JsonException fault)
        {
            throw new InputException($"{file} is not JSON: {fault.Message} Fetch or save the file again.", fault);
        }
    }
}
