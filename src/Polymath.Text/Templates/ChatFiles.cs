using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Text.Templates;

/// <summary>
/// The data about conversations in <c>tokenizer_config.json</c> and the files next to it: the special tokens by name, and the chat
/// template.
/// </summary>
internal static class ChatFiles
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
                var text = node switch
                {
                    JsonObject token => token["content"]?.ToString(),
                    JsonValue value when value.GetValueKind() == JsonValueKind.String => value.ToString(),
                    _ => null,
                };
                if (name.EndsWith("_token", StringComparison.Ordinal) && text is not null) tokens[name] = text;
            }
        }
        return tokens;
    }

    /// <summary>transformers' names of the template without a name and of the one for conversations with tools.</summary>
    internal const string Default = "default", ToolUse = "tool_use";

    internal const string Additional = "additional_chat_templates";

    /// <summary>
    /// The chat templates of a folder by name: those of its own files, which win over the settings'; empty when there are none.
    /// </summary>
    /// <param name="folder">The folder.</param>
    internal static Dictionary<string, JinjaTemplate> Templates(string folder)
    {
        var found = new Dictionary<string, JinjaTemplate>(StringComparer.Ordinal);
        var file = Path.Combine(folder, Template);
        if (File.Exists(file))
            found[Default] = JinjaTemplate.Parse(File.ReadAllText(file), file);
        var more = Path.Combine(folder, Additional);
        if (Directory.Exists(more))
        {
            foreach (var other in Directory.GetFiles(more, "*.jinja").Order(StringComparer.Ordinal))
                found[Path.GetFileNameWithoutExtension(other)] = JinjaTemplate.Parse(File.ReadAllText(other), other);
        }
        return found.Count > 0 ? found : FromSettings(Path.Combine(folder, Settings));
    }

    private static Dictionary<string, JinjaTemplate> FromSettings(string settings)
    {
        var found = new Dictionary<string, JinjaTemplate>(StringComparer.Ordinal);
        switch (Read(settings)["chat_template"])
        {
            case JsonArray list:
                foreach (var item in list)
                {
                    var name = item?["name"]?.ToString()
                        ?? throw new InputException($"{settings}: a template of chat_template has no name. Correct the file.");
                    found[name] = JinjaTemplate.Parse(item["template"]?.ToString() ?? "", $"{settings}, chat_template '{name}'");
                }
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                found[Default] = JinjaTemplate.Parse(value.ToString(), $"{settings}, chat_template");
                break;
        }
        return found;
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
