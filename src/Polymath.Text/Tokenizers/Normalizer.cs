using System.Text;

namespace Polymath.Text;

/// <summary>Rewrites a text before it is split.</summary>
internal abstract class Normalizer
{
    /// <summary>The rewritten text.</summary>
    public abstract string Apply(string text);
}

/// <summary>Several, one after the other.</summary>
internal sealed class SequenceNormalizer(IReadOnlyList<Normalizer> parts) : Normalizer
{
    /// <inheritdoc/>
    public override string Apply(string text) => parts.Aggregate(text, (current, part) => part.Apply(current));
}

/// <summary>Puts a prefix in front of a text that is not empty.</summary>
internal sealed class PrependNormalizer(string prefix) : Normalizer
{
    /// <inheritdoc/>
    public override string Apply(string text) => text.Length == 0 ? text : prefix + text;
}

/// <summary>Replaces what a pattern matches.</summary>
internal sealed class ReplaceNormalizer(TextPattern pattern, string content) : Normalizer
{
    /// <inheritdoc/>
    public override string Apply(string text) => pattern.Replace(text, content);
}

/// <summary>A Unicode normalization form.</summary>
internal sealed class UnicodeNormalizer(UnicodeForm form) : Normalizer
{
    /// <inheritdoc/>
    public override string Apply(string text) => UnicodeForms.Apply(text, form);
}

/// <summary>Lower case, character by character.</summary>
internal sealed class LowercaseNormalizer : Normalizer
{
    /// <inheritdoc/>
    public override string Apply(string text) => CharacterSets.ToLower(text);
}

/// <summary>Removes white space at the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    /// <inheritdoc/>
    public override string Apply(string text)
    {
        var result = left ? text.TrimStart() : text;
        return right ? result.TrimEnd() : result;
    }
}

/// <summary>Drops combining marks.</summary>
internal sealed class StripAccentsNormalizer : Normalizer
{
    /// <inheritdoc/>
    public override string Apply(string text) => Without(text, CharacterSets.Marks);

    /// <summary>The text without the code points of a set.</summary>
    public static string Without(string text, CodePointSet dropped)
    {
        var result = new StringBuilder(text.Length);
        for (int i = 0, width; i < text.Length; i += width)
        {
            if (!dropped.Contains(CharacterSets.At(text, i, out width)))
                result.Append(text, i, width);
        }

        return result.Length == text.Length ? text : result.ToString();
    }
}

/// <summary>
/// Drops control characters and writes other white space and invisible signs as spaces (the rules of Google's translation system).
/// </summary>
internal sealed class NmtNormalizer : Normalizer
{
    /// <inheritdoc/>
    public override string Apply(string text) =>
        string.Concat(text.Where(unit => !IsDropped(unit)).Select(unit => IsSpace(unit) ? ' ' : unit));

    private static bool IsDropped(char unit) =>
        unit is >= '\u0001' and <= '\u0008' or '\u000B' or >= '\u000E' and <= '\u001F' or '\u007F' or '\u008F' or '\u009F';

    private static bool IsSpace(char unit) => unit is '\t' or '\n' or '\f' or '\r' or '\u1680' or >= '\u200B' and <= '\u200F' or '\u2028'
        or '\u2029' or '\u2581' or '\uFEFF' or '\uFFFD';
}

/// <summary>Writes the bytes of a text in GPT-2's byte alphabet.</summary>
internal sealed class ByteLevelNormalizer : Normalizer
{
    /// <inheritdoc/>
    public override string Apply(string text) => ByteAlphabet.Write(Encoding.UTF8.GetBytes(text));
}
