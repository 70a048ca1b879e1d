using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>Reads how much a message or a row is to be learned, in all the forms that data has.</summary>
internal static class MessageWeight
{
    /// <summary>Keys that mark what is not learned.</summary>
    internal static readonly string[] Masks = ["mask", "masked"];

    /// <summary>Keys that weigh single characters, which cannot be learned.</summary>
    internal static readonly string[] Details = ["train_detail", "training_detail"];

    /// <summary>Converts the weight of a message to the one form, if it has a weight.</summary>
    /// <param name="row">The row.</param>
    /// <param name="from">The original message.</param>
    /// <param name="into">The message in the one form.</param>
    /// <param name="where">Its name in messages.</param>
    internal static void Put(SourceRow row, JsonObject from, JsonObject into, string where)
    {
        double? weight = null;
        foreach (var key in ShapeKeys.Weight.Where(key => from[key] is not null && !row.Rules.IgnoresInside(key)))
            weight = (weight ?? 1) * Number(row, from[key]!, $"{where}.{key}");
        foreach (var key in Masks.Where(key => from[key] is not null && !row.Rules.IgnoresInside(key)))
        {
            if (from[key]!.GetValueKind() is not (JsonValueKind.True or JsonValueKind.False))
                throw row.Fault($"{where} has '{key}': {SourceRow.Short(from[key])}, which may mean learned or not. Write \"weight\": 0 or "
                    + $"1, or ignore: [{key}].");
            weight = (weight ?? 1) * (from[key]!.GetValue<bool>() ? 0 : 1);
        }
        foreach (var key in Details.Where(key => !SourceRow.IsBlank(from[key]) && !row.Rules.IgnoresInside(key)))
            throw row.Fault($"{where} has '{key}', which weighs single characters; only whole messages can be weighed. Split the message, "
                + $"or ignore: [{key}].");
        if (weight is { } read)
            into[Dialogue.Weight] = read;
    }

    /// <summary>Whether a key of a message says how much it is learned.</summary>
    /// <param name="key">The key.</param>
    internal static bool IsKey(string key) => ShapeKeys.Weight.Contains(key) || Masks.Contains(key) || Details.Contains(key);

    /// <summary>Refuses a row that as a whole is not learned, or has another weight than 1.</summary>
    /// <param name="row">The row.</param>
    internal static void RefuseWholeRows(SourceRow row)
    {
        foreach (var key in ShapeKeys.Weight.Where(key => row.Values[key] is JsonValue && !row.Rules.Ignores(key)))
        {
            if (Number(row, row.Take(key)!, key) != 1)
                throw Unlike(row, key);
        }
        if (Array.Find(Masks, key => !row.Rules.Ignores(key) && OfRow(key, row.Values[key]) == 0) is { } mask)
            throw Unlike(row, mask);
    }

    /// <summary>Refuses a text that says that it is not learned, or has another weight than 1.</summary>
    /// <param name="row">The row.</param>
    /// <remarks>A text may have a column of such a name that says something else: the weight of a parcel, the train of a journey.</remarks>
    internal static void RefuseTexts(SourceRow row)
    {
        foreach (var (key, value) in row.Values.Where(pair => !row.Rules.Ignores(pair.Key)))
        {
            if (OfRow(key, value) is { } weight && weight != 1)
                throw Unlike(row, key);
        }
    }

    /// <summary>How much a column says that its row is learned; null when it says nothing about it.</summary>
    /// <param name="key">The column.</param>
    /// <param name="value">Its value.</param>
    internal static double? OfRow(string key, JsonNode? value)
    {
        if (value is not JsonValue)
            return null;
        if (Masks.Contains(key))
            return value.GetValueKind() == JsonValueKind.True || value.ToString() == "true" ? 0 : null;
        return ShapeKeys.Weight.Contains(key) && Number(value) is >= 0 and < 1000 and var number ? number : null;
    }

    private static InputException Unlike(SourceRow row, string key) => row.Fault(
        $"'{key}' is {SourceRow.Short(row.Values[key])}: the row says that it is not learned like the others. Leave such rows "
            + $"out with where: [{{field: {key}, notIn: [...]}}], put a weight on its messages, or ignore the key with "
            + $"ignore: [{key}].");

    private static double? Number(JsonNode value) => value.GetValueKind() switch
    {
        JsonValueKind.True => 1,
        JsonValueKind.False => 0,
        JsonValueKind.Number => JsonValues.Number(value),
        JsonValueKind.String => Word(value.ToString()),
        _ => null,
    };

    private static double Number(SourceRow row, JsonNode value, string where)
    {
        return Number(value) is >= 0 and < 1000 and var number
            ? number
            : throw row.Fault($"{where} is {SourceRow.Short(value)}, which is not a weight. Write a number from 0, or true or false.");
    }

    private static double? Word(string text) => text.ToLowerInvariant() switch
    {
        "true" or "yes" => 1,
        "false" or "no" => 0,
        _ => double.TryParse(text, CultureInfo.InvariantCulture, out var number) ? number : null,
    };
}
