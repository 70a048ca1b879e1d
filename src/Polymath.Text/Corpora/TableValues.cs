using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.Unicode;

namespace Polymath.Text;

/// <summary>Values of typed tables as JSON.</summary>
internal static class TableValues
{
    /// <summary>A number; null when JSON cannot write it.</summary>
    /// <param name="number">The number.</param>
    public static JsonValue? Real(double number) => double.IsFinite(number) ? JsonValue.Create(number) : null;

    /// <summary>A number; null when JSON cannot write it.</summary>
    /// <param name="number">The number.</param>
    public static JsonValue? Real(float number) => float.IsFinite(number) ? JsonValue.Create(number) : null;

    /// <summary>A point in time (ISO 8601).</summary>
    /// <param name="time">The time.</param>
    public static JsonValue Moment(DateTime time) => JsonValue.Create(time.ToString("O", CultureInfo.InvariantCulture));

    /// <summary>Bytes: as text when they are UTF-8, else in base64.</summary>
    /// <param name="bytes">The bytes.</param>
    public static JsonValue Bytes(ReadOnlySpan<byte> bytes) =>
        JsonValue.Create(Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : Convert.ToBase64String(bytes));
}
