using System.Text.Encodings.Web;
using System.Text.Json;

namespace Polymath.Text;

/// <summary>How tables are written, so that people can read them.</summary>
internal static class TableJson
{
    /// <summary>Indented, characters as they are.</summary>
    public static JsonSerializerOptions Options { get; } =
        new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
