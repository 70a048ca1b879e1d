using System.Text;

namespace Polymath.Text;

/// <summary>BERT's normalizer (Devlin et al. 2019): cleaning, spaces around ideographs, no accents, lower case.</summary>
/// <param name="clean">Whether control characters are dropped and white space becomes spaces.</param>
/// <param name="spaceIdeographs">Whether each Chinese character gets a space on both sides.</param>
/// <param name="stripAccents">Whether accents are dropped.</param>
/// <param name="lowercase">Whether letters are made lower case.</param>
internal sealed class BertNormalizer(bool clean, bool spaceIdeographs, bool stripAccents, bool lowercase) : Normalizer
{
    /// <inheritdoc/>
    public override string Apply(string text)
    {
        if (Ascii.IsValid(text))
            return ApplyAscii(text);
        if (clean || spaceIdeographs)
            text = Clean(text);
        if (stripAccents)
            text = StripAccentsNormalizer.Without(UnicodeForms.Apply(text, UnicodeForm.Nfd), CharacterSets.Accents);
        return lowercase ? CharacterSets.ToLower(text) : text;
    }

    private string ApplyAscii(string text)
    {
        if (clean && (text.AsSpan().IndexOfAnyInRange('\0', '\u001F') >= 0 || text.Contains('\u007F', StringComparison.Ordinal)))
            text = Clean(text);
        return lowercase ? text.ToLowerInvariant() : text;
    }

    private string Clean(string text)
    {
        var result = new StringBuilder(text.Length + 16);
        for (int i = 0, width; i < text.Length; i += width)
        {
            var code = CharacterSets.At(text, i, out width);
            if (clean && CharacterSets.Removed.Contains(code))
                continue;
            if (clean && width == 1 && code != '\u000B' && code != '\f' && code != '\u0085' && char.IsWhiteSpace((char)code))
                result.Append(' ');
            else if (spaceIdeographs && CharacterSets.Chinese.Contains(code))
                result.Append(' ').Append(text, i, width).Append(' ');
            else
                result.Append(text, i, width);
        }

        return result.ToString();
    }
}
