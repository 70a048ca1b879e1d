using System.Text;
using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>Whether an answer has the asked length.</summary>
/// <param name="spec">The lengths.</param>
public sealed class LengthReward(LengthRewardSpec spec) : RuleReward
{
    /// <inheritdoc/>
    public override double Score(string answer, IReadOnlyDictionary<string, string> fields)
    {
        var length = TextUnits.Of(answer, spec.Unit).Count;
        if (length < spec.Least) return (double)length / spec.Least;
        return length > spec.Most ? (double)spec.Most.Value / length : 1;
    }
}

/// <summary>The share of different n-grams among all of an answer.</summary>
/// <param name="spec">The n-grams.</param>
public sealed class RepetitionReward(RepetitionRewardSpec spec) : RuleReward
{
    /// <inheritdoc/>
    public override double Score(string answer, IReadOnlyDictionary<string, string> fields)
    {
        var units = TextUnits.Of(answer, spec.Unit);
        var all = units.Count - spec.N + 1;
        if (all <= 0) return 1;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < all; i++) seen.Add(string.Join('\n', units.Skip(i).Take(spec.N)));
        return (double)seen.Count / all;
    }
}

/// <summary>The share of an answer's letters that belong to a script.</summary>
/// <param name="spec">The script.</param>
public sealed class ScriptReward(ScriptRewardSpec spec) : RuleReward
{
    private static readonly (int From, int To)[] han = [(0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF), (0x20000, 0x323AF)];

    private static readonly Dictionary<Script, (int From, int To)[]> blocks = new()
    {
        [Script.Han] = han,
        [Script.Latin] = [('A', 'Z'), ('a', 'z'), (0xAA, 0x24F), (0x1E00, 0x1EFF), (0xFF21, 0xFF5A)],
        [Script.Cyrillic] = [(0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)],
        [Script.Japanese] = [.. han, (0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)],
        [Script.Hangul] = [(0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF)],
        [Script.Arabic] = [(0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)],
        [Script.Greek] = [(0x370, 0x3FF), (0x1F00, 0x1FFF)],
        [Script.Hebrew] = [(0x590, 0x5FF), (0xFB1D, 0xFB4F)],
        [Script.Devanagari] = [(0x900, 0x97F), (0xA8E0, 0xA8FF)],
        [Script.Thai] = [(0xE00, 0xE7F)],
    };

    /// <inheritdoc/>
    public override double Score(string answer, IReadOnlyDictionary<string, string> fields)
    {
        ArgumentNullException.ThrowIfNull(answer);
        var letters = answer.EnumerateRunes().Where(Rune.IsLetter).ToList();
        return letters.Count == 0 ? 0 : (double)letters.Count(Belongs) / letters.Count;
    }

    private bool Belongs(Rune letter) => blocks[spec.Script].Any(block => letter.Value >= block.From && letter.Value <= block.To);
}

/// <summary>The units of a text.</summary>
internal static class TextUnits
{
    /// <summary>The characters or words of a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="unit">Which.</param>
    internal static IReadOnlyList<string> Of(string text, TextUnit unit) => unit == TextUnit.Words
        ? text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
        : [.. text.EnumerateRunes().Select(rune => rune.ToString())];
}
