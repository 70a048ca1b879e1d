using System.Globalization;
using System.Text;

namespace Polymath.Text;

/// <summary>
/// The replacements of a SentencePiece file as Hugging Face's library applies them: to each grapheme of up to five bytes, by the shortest
/// entry at its start, else to each of its code points.
/// </summary>
internal sealed class PrecompiledNormalizer(PrecompiledCharacterMap map) : Normalizer
{
    private const int LongestGrapheme = 5;

    /// <summary>Reads one.</summary>
    public static Normalizer Read(JsonPart part)
    {
        if (part.Find("precompiled_charsmap") is not { } source || source.Text().Length == 0)
            return new SequenceNormalizer([]);
        try
        {
            return new PrecompiledNormalizer(new PrecompiledCharacterMap(Convert.FromBase64String(source.Text()), source.Fault));
        }
        catch (FormatException)
        {
            throw source.Fault("the table of replacements is not base64");
        }
    }

    /// <inheritdoc/>
    public override string Apply(string text)
    {
        var result = new StringBuilder(text.Length + 8);
        for (var i = 0; i < text.Length;)
        {
            var unit = text[i];
            if (unit < 128 && IsAlone(text, i))
            {
                if (map.OfAscii(unit) is { } other)
                    result.Append(other);
                else
                    result.Append(unit);
                i++;
                continue;
            }

            var length = StringInfo.GetNextTextElementLength(text.AsSpan(i));
            Replace(text.AsSpan(i, length), result);
            i += length;
        }

        return result.ToString();
    }

    // Two ASCII characters are never one grapheme, except for CR LF.
    private static bool IsAlone(string text, int at) => at + 1 == text.Length || (text[at + 1] < 128 && text[at] != '\r');

    private void Replace(ReadOnlySpan<char> grapheme, StringBuilder into)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (Encoding.UTF8.GetByteCount(grapheme) <= LongestGrapheme)
        {
            var count = Encoding.UTF8.GetBytes(grapheme, bytes);
            if (map.Shortest(bytes[..count]) is (> 0, var whole))
            {
                into.Append(whole);
                return;
            }
        }

        for (int i = 0, width; i < grapheme.Length; i += width)
        {
            _ = CharacterSets.At(grapheme, i, out width);
            var count = Encoding.UTF8.GetBytes(grapheme.Slice(i, width), bytes);
            if (map.Shortest(bytes[..count]) is (> 0, var part))
                into.Append(part);
            else
                into.Append(grapheme.Slice(i, width));
        }
    }
}
