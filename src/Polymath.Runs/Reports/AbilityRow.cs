using System.Text.Json;
using System.Text.Json.Serialization;

namespace Polymath.Runs.Reports;

/// <summary>The abilities at one point of a run. In JSON it is flat: <c>{"after": "pretrain", "perplexity": 61.5}</c>.</summary>
/// <param name="After">The stage they were measured after; <c>start</c> before the first.</param>
/// <param name="Values">The value of each ability.</param>
[JsonConverter(typeof(AbilityRowConverter))]
public sealed record AbilityRow(string After, IReadOnlyDictionary<string, double> Values);

/// <summary>Writes <c>after</c> first, then the abilities, and reads them back.</summary>
public sealed class AbilityRowConverter : JsonConverter<AbilityRow>
{
    private const string Label = "after";

    /// <inheritdoc/>
    public override AbilityRow Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw new JsonException("An ability row is not an object.");
        string? after = null;
        var values = new Dictionary<string, double>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            reader.Read();
            if (after is null && name == Label && reader.TokenType == JsonTokenType.String) after = reader.GetString();
            else values[name] = Number(ref reader, name);
        }
        return new AbilityRow(after ?? throw new JsonException("An ability row lacks 'after'."), values);
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, AbilityRow value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentNullException.ThrowIfNull(value);
        writer.WriteStartObject();
        writer.WriteString(Label, value.After);
        foreach (var (name, number) in value.Values)
        {
            // JSON has no form for these; the names are the ones that System.Text.Json reads elsewhere in the report.
            if (double.IsFinite(number)) writer.WriteNumber(name, number);
            else writer.WriteString(name, number switch { > 0 => "Infinity", < 0 => "-Infinity", _ => "NaN" });
        }
        writer.WriteEndObject();
    }

    private static double Number(ref Utf8JsonReader reader, string name) => reader.TokenType switch
    {
        JsonTokenType.Number => reader.GetDouble(),
        JsonTokenType.String when reader.ValueTextEquals("NaN") => double.NaN,
        JsonTokenType.String when reader.ValueTextEquals("Infinity") => double.PositiveInfinity,
        JsonTokenType.String when reader.ValueTextEquals("-Infinity") => double.NegativeInfinity,
        _ => throw new JsonException($"The ability '{name}' is not a number."),
    };
}
