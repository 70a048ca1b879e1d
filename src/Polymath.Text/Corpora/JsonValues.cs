using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Finds values in rows and writes them as text.</summary>
internal static class JsonValues
{
    /// <summary>JSON inside a text; null when the text is not JSON, or is null.</summary>
    /// <param name="text">The text.</param>
    public static JsonNode? Parse(string text)
    {
        try
        {
            return JsonNode.Parse(text, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>
    /// The value at a path: a literal key, or keys (and places in lists) joined by dots. In a list of objects, a key stands for the list of
    /// its values.
    /// </summary>
    /// <param name="node">The node where the path begins.</param>
    /// <param name="path">The path.</param>
    /// <returns>The value, or a list of new nodes; null when it is missing or null.</returns>
    public static JsonNode? Find(JsonNode? node, string path)
    {
        if (node is JsonObject members)
        {
            if (members.TryGetPropertyValue(path, out var whole))
                return whole;
            for (var dot = path.IndexOf('.'); dot >= 0; dot = path.IndexOf('.', dot + 1))
            {
                if (members.TryGetPropertyValue(path[..dot], out var inner) && Find(inner, path[(dot + 1)..]) is { } found)
                    return found;
            }
            return null;
        }
        if (node is not JsonArray list)
            return null;
        var end = path.IndexOf('.');
        var head = end < 0 ? path : path[..end];
        if (int.TryParse(head, NumberStyles.None, CultureInfo.InvariantCulture, out var index))
        {
            if (index >= list.Count)
                return null;
            return end < 0 ? list[index] : Find(list[index], path[(end + 1)..]);
        }
        var all = list.Select(item => Find(item, path)).OfType<JsonNode>().Select(item => item.DeepClone()).ToArray();
        return all.Length == 0 ? null : new JsonArray(all);
    }

    /// <summary>Whether there is a value at a path, be it null.</summary>
    /// <param name="node">The node where the path begins.</param>
    /// <param name="path">The path.</param>
    public static bool Has(JsonNode? node, string path)
    {
        if (node is not JsonObject members)
            return Find(node, path) is not null;
        if (members.ContainsKey(path))
            return true;
        for (var dot = path.IndexOf('.'); dot >= 0; dot = path.IndexOf('.', dot + 1))
        {
            if (members.TryGetPropertyValue(path[..dot], out var inner) && Has(inner, path[(dot + 1)..]))
                return true;
        }
        return false;
    }

    /// <summary>A value as text: lists item by item, objects as their JSON; null for null.</summary>
    /// <param name="value">The value.</param>
    /// <param name="join">What is put between the items of a list; the end of a line when left out.</param>
    public static string? Text(JsonNode? value, string? join = null) => value switch
    {
        null => null,
        JsonArray list => string.Join(join ?? "\n", list.Select(item => Text(item, join) ?? "")),
        JsonValue plain when plain.GetValueKind() == JsonValueKind.String => plain.GetValue<string>(),
        _ => value.ToJsonString(JsonLayout.Line),
    };

    /// <summary>Whether a text in a value holds half a surrogate pair, so that it is no text.</summary>
    /// <param name="value">The value.</param>
    public static bool HasHalfPair(JsonNode? value)
    {
        switch (value)
        {
            case JsonArray list:
                return list.Any(HasHalfPair);
            case JsonValue plain when plain.GetValueKind() == JsonValueKind.String:
                return IsHalved(() => plain.GetValue<string>());
            case JsonObject members:
                return IsHalved(() => _ = members.Count) || members.Any(pair => HasHalfPair(pair.Value));
            default:
                return false;
        }
    }

    // Texts are decoded when they are first read.
    private static bool IsHalved(Action read)
    {
        try
        {
            read();
            return false;
        }
        catch (InvalidOperationException)
        {
            return true;
        }
    }

    /// <summary>The JSON form of a number; null for anything else.</summary>
    /// <param name="value">The value.</param>
    public static double? Number(JsonNode? value) =>
        value is JsonValue plain && plain.GetValueKind() == JsonValueKind.Number
            ? double.Parse(plain.ToJsonString(), CultureInfo.InvariantCulture)
            : null;
}
