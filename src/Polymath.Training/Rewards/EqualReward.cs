using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>How well an answer equals the right one, which stands in a field of its row.</summary>
/// <param name="spec">The field, and how they are compared.</param>
public sealed partial class EqualReward(EqualRewardSpec spec) : RuleReward
{
    private const string Answer = "answer";
    private static readonly string[] articles = ["a", "an", "the"];

    private readonly Regex? find = spec.Find is { } pattern
        ? new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled, Patience)
        : null;

    /// <inheritdoc/>
    public override double Score(string answer, IReadOnlyDictionary<string, string> fields)
    {
        ArgumentNullException.ThrowIfNull(answer);
        ArgumentNullException.ThrowIfNull(fields);
        if (!fields.TryGetValue(spec.Field, out var right) || Found(answer) is not { } said) return 0;
        return spec.By switch
        {
            Equality.Exact => Spaces(said) == Spaces(right) ? 1 : 0,
            Equality.Number => NumberOf(said) is { } number && NumberOf(right) is { } wanted
                && Math.Abs(number - wanted) <= 1e-6 * Math.Max(1, Math.Abs(wanted)) ? 1 : 0,
            Equality.Choice => ChoiceOf(said) is { } choice && choice == ChoiceOf(right) ? 1 : 0,
            _ => F1(Units(said), Units(right)),
        };
    }

    private string? Found(string answer)
    {
        if (find is null) return answer;
        try
        {
            if (find.Matches(answer).LastOrDefault() is not { } match) return null;
            return match.Groups[Answer] is { Success: true } group ? group.Value : match.Value;
        }
        catch (RegexMatchTimeoutException)
        {
            return null;
        }
    }

    private static string Spaces(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    /// <summary>The last number of a text; null where there is none.</summary>
    /// <param name="text">The text.</param>
    internal static double? NumberOf(string text)
    {
        if (Numbers().Matches(text).LastOrDefault() is not { } match) return null;
        var plain = match.Value.Replace(",", "", StringComparison.Ordinal).Replace("，", "", StringComparison.Ordinal);
        return double.TryParse(plain, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
    }

    private static char? ChoiceOf(string text) => Choices().Matches(text).LastOrDefault()?.Value[0];

    // SQuAD's words: small letters, without punctuation and articles. A text without spaces is compared by characters.
    private static List<string> Units(string text)
    {
        var plain = new StringBuilder();
        foreach (var rune in text.ToLowerInvariant().EnumerateRunes())
            if (!Rune.IsPunctuation(rune) && !Rune.IsSymbol(rune)) plain.Append(rune.ToString());
        var words = plain.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return words.Length == 1 && words[0].Any(letter => letter >= 0x2E80)
            ? [.. words[0].EnumerateRunes().Select(rune => rune.ToString())]
            : [.. words.Where(word => !articles.Contains(word))];
    }

    private static double F1(List<string> said, List<string> right)
    {
        if (said.Count == 0 || right.Count == 0) return said.Count == right.Count ? 1 : 0;
        var left = right.GroupBy(unit => unit).ToDictionary(group => group.Key, group => group.Count());
        var common = 0;
        foreach (var unit in said)
        {
            if (left.GetValueOrDefault(unit) == 0) continue;
            left[unit]--;
            common++;
        }
        return 2.0 * common / (said.Count + right.Count);
    }

    [GeneratedRegex(@"-?(?:\d[\d,，]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?", RegexOptions.CultureInvariant)]
    private static partial Regex Numbers();

    [GeneratedRegex("(?<![A-Za-z])[A-Z](?![A-Za-z])", RegexOptions.CultureInvariant)]
    private static partial Regex Choices();
}
