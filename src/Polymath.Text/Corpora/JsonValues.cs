using System.Text.Json;

namespace Polymath.Text;

/// <summary>Finds values in JSON and writes them as text.</summary>
internal static class JsonValues
{
    /// <summary>Adds an object as a row.</summary>
    public static void AddRow(RowCollector rows, JsonElement element)
    {
        if (rows.Shapes)
        {
            rows.AddShaped(System.Text.Json.Nodes.JsonObject.Create(element.Clone())!);
            return;
        }

        var keys = element.EnumerateObject().Select(member => member.Name).ToList();
        rows.Add(keys, (path, spec) => Find(element, path) is { } value ? Text(value, spec.Join) : null);
    }

    /// <summary>
    /// The value at a path: a key as it stands, or keys (and places in lists) joined by dots. In a list of objects a key stands for the
    /// list of its values.
    /// </summary>
    private static JsonNodeOrList? Find(JsonElement element, string path)
    {
        if (element.ValueKind == JsonValueKind.Object)
        {
            if (element.TryGetProperty(path, out var whole))
                return new(whole, null);
            for (var dot = path.IndexOf('.'); dot >= 0; dot = path.IndexOf('.', dot + 1))
            {
                if (element.TryGetProperty(path[..dot], out var inner) && Find(inner, path[(dot + 1)..]) is { } found)
                    return found;
            }

            return null;
        }

        if (element.ValueKind != JsonValueKind.Array)
            return null;
        var end = path.IndexOf('.');
        var head = end < 0 ? path : path[..end];
        if (int.TryParse(head, System.Globalization.NumberStyles.None, null, out var index))
        {
            if (index >= element.GetArrayLength())
                return null;
            return end < 0 ? new(element[index], null) : Find(element[index], path[(end + 1)..]);
        }

        var all = element.EnumerateArray().Select(item => Find(item, path)).OfType<JsonNodeOrList>().ToList();
        return all.Count == 0 ? null : new(default, all);
    }

    private static string? Text(JsonNodeOrList value, string join)
        => value.List is { } list ? string.Join(join, list.Select(item => Text(item, join) ?? "")) : Text(value.Element, join);

    private static string? Text(JsonElement value, string join) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.Undefined => null,
        JsonValueKind.String => value.GetString(),
        JsonValueKind.Array => string.Join(join, value.EnumerateArray().Select(item => Text(item, join) ?? "")),
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        _ => value.GetRawText(),
    };

    private sealed record JsonNodeOrList(JsonElement Element, List<JsonNodeOrList>? List);
}
