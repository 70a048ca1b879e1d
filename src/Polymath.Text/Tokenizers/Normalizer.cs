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

/// <summary>Puts something in front of a text that is not empty.</summary>
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
    public override string Apply(string text)
    {
        // The one character whose lower case is two characters in Unicode and itself in .NET.
        return text.ToLowerInvariant().Replace("\u0130", "i\u0307", StringComparison.Ordinal);
    }
}

/// <summary>Takes white space off the ends.</summary>
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
    public override string Apply(string text)
    {
        var result = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length;)
        {
            _ = Rune.DecodeFromUtf16(text.AsSpan(i), out var rune, out var width);
            if (Rune.GetUnicodeCategory(rune) is not System.Globalization.UnicodeCategory.NonSpacingMark)
                result.Append(text, i, width);
            i += width;
        }

        return result.ToString();
    }
}
