using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>
/// The share of groups of lines whose characters' classes keep the rules. With tones as classes, positions 2, 4, 6 and groups of two lines
/// it is the rule of regulated verse: the tones alternate along a line and are opposite between the lines of a couplet.
/// </summary>
public sealed class CharacterClassReward : RuleReward
{
    private readonly CharacterClassRewardSpec spec;
    private readonly Func<int, string?> classOf;
    private readonly Regex line;
    private readonly int[] positions;

    /// <summary>Compiles the pattern of a line.</summary>
    /// <param name="spec">The rules.</param>
    /// <param name="classOf">The class of a code point; null when it is unknown or ambiguous. Such a character breaks no rule.</param>
    public CharacterClassReward(CharacterClassRewardSpec spec, Func<int, string?> classOf)
    {
        ArgumentNullException.ThrowIfNull(spec);
        ArgumentNullException.ThrowIfNull(classOf);
        (this.spec, this.classOf) = (spec, classOf);
        positions = [.. spec.Positions.Distinct().Order()];
        line = new Regex(spec.Line, RegexOptions.CultureInvariant | RegexOptions.Compiled, Patience);
    }

    /// <inheritdoc/>
    public override double Score(string answer, IReadOnlyDictionary<string, string> fields)
    {
        ArgumentNullException.ThrowIfNull(answer);
        try
        {
            // A pattern such as [^，]* also matches the empty text at each line's end; an empty match is not a line.
            var lines = line.Matches(answer).Where(found => found.Length > 0).Select(found => ClassesOf(found.Value)).ToList();
            var groups = lines.Chunk(spec.Group).ToList();
            return groups.Count == 0 ? 0 : (double)groups.Count(Keeps) / groups.Count;
        }
        catch (RegexMatchTimeoutException)
        {
            return 0;
        }
    }

    /// <summary>
    /// The classes at the positions that count, in order, up to the line's end; null for a line that is too short for the first.
    /// </summary>
    private string?[]? ClassesOf(string text)
    {
        var runes = text.EnumerateRunes().ToArray();
        if (positions.Length > 0 && runes.Length < positions[0]) return null;
        return [.. positions.TakeWhile(position => position <= runes.Length).Select(position => classOf(runes[position - 1].Value))];
    }

    private bool Keeps(string?[]?[] group)
    {
        if (group.Length < spec.Group || group.Contains(null)) return false;
        for (var i = 0; i < group.Length; i++)
        {
            var classes = group[i]!;
            if (!classes.Zip(classes.Skip(1)).All(pair => Holds(spec.Within, pair.First, pair.Second))) return false;
            if (i > 0 && !group[i - 1]!.Zip(classes).All(pair => Holds(spec.Across, pair.First, pair.Second))) return false;
        }
        return true;
    }

    private static bool Holds(ClassRule rule, string? first, string? second) => rule switch
    {
        _ when first is null || second is null => true,
        ClassRule.Same => first == second,
        ClassRule.Differ => first != second,
        _ => true,
    };
}
