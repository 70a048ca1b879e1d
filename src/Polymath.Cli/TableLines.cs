using System.Text.Json;
using System.Text.Json.Nodes;

namespace Polymath.Cli;

/// <summary>Rows as CSV (RFC 4180): values with a comma, a quote or a line break stand in quotes.</summary>
internal static class TableLines
{
    /// <summary>A line of values.</summary>
    /// <param name="values">The values.</param>
    internal static string Of(IEnumerable<string> values) => string.Join(',', values.Select(value =>
        value.AsSpan().ContainsAny(",\"\r\n") ? $"\"{value.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : value));

    /// <summary>A field as a value.</summary>
    /// <param name="node">The field.</param>
    internal static string Text(JsonNode? node) => node switch
    {
        null => "",
        JsonValue value when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>(),
        _ => node.ToJsonString(),
    };
}
