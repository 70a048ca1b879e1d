using System.Text.Encodings.Web;
using System.Text.Json;

namespace Polymath.Text;

/// <summary>The settings for readable JSON: characters are not escaped.</summary>
internal static class TableJson
{
    /// <summary>Indented, for files.</summary>
    public static JsonSerializerOptions Options { get; } = new()
    {
        WriteIndented = true,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>On one line, for fields and messages.</summary>
    public static JsonSerializerOptions Compact { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
