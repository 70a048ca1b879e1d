using System.Text.Json;
using System.Text.RegularExpressions;
using Json.Schema;
using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>1 for an answer that is JSON, and is as a schema says, else 0.</summary>
public sealed partial class JsonReward : RuleReward
{
    private readonly JsonSchema? schema;
    private readonly bool fenced;

    /// <summary>Reads the schema.</summary>
    /// <param name="spec">The settings.</param>
    /// <param name="baseFolder">What the schema's path is relative to.</param>
    /// <exception cref="InputException">The schema cannot be read.</exception>
    public JsonReward(JsonRewardSpec spec, string baseFolder)
    {
        ArgumentNullException.ThrowIfNull(spec);
        fenced = spec.Fenced;
        if (spec.Schema is not { } path) return;
        try
        {
            schema = JsonSchema.FromText(File.ReadAllText(Path.GetFullPath(path, Path.GetFullPath(baseFolder))));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or ArgumentException)
        {
            throw new InputException($"{path} is no JSON schema that can be read: {e.Message} Correct the file, or leave schema out.", e);
        }
    }

    /// <inheritdoc/>
    public override double Score(string answer, IReadOnlyDictionary<string, string> fields)
    {
        ArgumentNullException.ThrowIfNull(answer);
        var text = fenced && Blocks().Matches(answer).LastOrDefault() is { } block ? block.Groups["json"].Value : answer;
        try
        {
            using var document = JsonDocument.Parse(text);
            return schema is null || schema.Evaluate(document.RootElement).IsValid ? 1 : 0;
        }
        catch (JsonException)
        {
            return 0;
        }
    }

    [GeneratedRegex("```(?:json)?[ \t]*\r?\n(?<json>.*?)```", RegexOptions.CultureInvariant | RegexOptions.Singleline)]
    private static partial Regex Blocks();
}
