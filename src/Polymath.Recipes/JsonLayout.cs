using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Polymath.Recipes;

/// <summary>How JSON is written. Letters of every script stand as they are, and lines end with <c>\n</c> on every system.</summary>
public static class JsonLayout
{
    /// <summary>Files that people read: indented by two.</summary>
    public static JsonSerializerOptions Indented { get; } = new()
    {
        WriteIndented = true,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>One line, for fields, messages and JSON Lines.</summary>
    public static JsonSerializerOptions Line { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Records of ours as indented files: names in camelCase; infinities and NaN by name.</summary>
    public static JsonSerializerOptions IndentedRecord { get; } = new(Indented)
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    /// <summary>Records of ours on one line: names in camelCase; infinities and NaN by name.</summary>
    public static JsonSerializerOptions RecordLine { get; } = new(Line)
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };
}
