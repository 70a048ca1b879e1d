using System.Text.Json.Nodes;

namespace Polymath.Text;

/// <summary>The roles that speakers' names stand for.</summary>
internal static class MessageRoles
{
    /// <summary>The role of a message that is only a call of a function.</summary>
    internal const string Call = "function_call";

    /// <summary>The names of who speaks, in the order in which they are looked for.</summary>
    internal static readonly string[] Keys = ["role", "from", "speaker"];

    private static readonly Dictionary<string, string> Known = new(StringComparer.OrdinalIgnoreCase)
    {
        ["user"] = "user",
        ["human"] = "user",
        ["prompter"] = "user",
        ["assistant"] = "assistant",
        ["gpt"] = "assistant",
        ["chatgpt"] = "assistant",
        ["bing"] = "assistant",
        ["bard"] = "assistant",
        ["bot"] = "assistant",
        ["model"] = "assistant",
        ["ai"] = "assistant",
        ["system"] = "system",
        ["developer"] = "developer",
        ["tool"] = "tool",
        ["observation"] = "tool",
        ["function"] = "tool",
        ["tool_response"] = "tool",
        ["function_response"] = "tool",
        ["ipython"] = "tool",
        ["function_call"] = Call,
        ["tool_call"] = Call,
    };

    /// <summary>The speakers that are known, with the role that each stands for.</summary>
    internal static IReadOnlyDictionary<string, string> Speakers => Known;

    /// <summary>The name under which a message says who speaks; null for none.</summary>
    /// <param name="row">The row.</param>
    /// <param name="message">The message.</param>
    internal static string? KeyOf(SourceRow row, JsonObject message) =>
        row.Rules.MessageKey("role") ?? Keys.FirstOrDefault(name => message[name] is not null);

    /// <summary>The role of a message.</summary>
    /// <param name="row">The row.</param>
    /// <param name="message">The message.</param>
    /// <param name="where">Its name in messages.</param>
    /// <returns>The speaker as written, and the role it stands for.</returns>
    internal static (string Speaker, string Role) Of(SourceRow row, JsonObject message, string where)
    {
        var key = KeyOf(row, message);
        if (key is null || message[key] is not { } value)
            throw row.Fault($"{where} has no role: it has {string.Join(", ", message.Select(pair => pair.Key))}. Name its key with fields: "
                + "{messages.role: KEY}.");
        var speaker = row.TextOf(value, $"{where}.{key}");
        var mapped = row.Rules.Roles?.FirstOrDefault(pair => string.Equals(pair.Key, speaker, StringComparison.OrdinalIgnoreCase)).Value;
        if ((mapped ?? Known.GetValueOrDefault(speaker.Trim())) is { } role)
            return (speaker, role);
        if (row.Rules.IgnoresInside(speaker))
            return (speaker, speaker);
        throw row.Fault(
            $"{where} is from '{speaker}', which is not a known speaker. Known are {string.Join(", ", Known.Keys)}. State its role "
                + $"with roles: {{{speaker}: user}} (--role {speaker}=user), or leave such messages out with ignore: [{speaker}].");
    }
}
