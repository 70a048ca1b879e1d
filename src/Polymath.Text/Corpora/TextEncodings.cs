using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Texts that are not UTF-8: those with a byte-order mark are read, the others are refused with a guess of their encoding.
/// </summary>
internal static class TextEncodings
{
    private const int Looked = 4096, Shown = 24;

    // The least share of common characters in a text.
    private const double Common = 0.8;

    /// <summary>The text as UTF-8, when its byte-order mark says that it is UTF-16 or UTF-32.</summary>
    /// <param name="inner">The text, which is closed with the returned stream.</param>
    /// <param name="head">Its first bytes.</param>
    public static Stream Utf8(Stream inner, ReadOnlySpan<byte> head)
    {
        Encoding? encoding = head switch
        {
            [0xFF, 0xFE, 0x00, 0x00, ..] => Encoding.UTF32,
            [0xFF, 0xFE, ..] => Encoding.Unicode,
            [0xFE, 0xFF, ..] => Encoding.BigEndianUnicode,
            _ => null,
        };
        return encoding is null ? inner : Encoding.CreateTranscodingStream(inner, encoding, Encoding.UTF8);
    }

    /// <summary>Refuses UTF-16 without a mark, which would be read as letters with zeros between them.</summary>
    /// <param name="file">The file.</param>
    /// <param name="text">Its beginning.</param>
    /// <exception cref="InputException">Every second byte is zero.</exception>
    public static void RefuseWideText(string file, ReadOnlySpan<byte> text)
    {
        text = text[..Math.Min(text.Length, Looked)];
        if (text.IndexOf((byte)0) < 0)
            return;
        int even = 0, odd = 0;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == 0)
                _ = i % 2 == 0 ? even++ : odd++;
        }
        var most = Math.Max(even, odd);
        if (most * 4 < text.Length || most < 9 * Math.Min(even, odd))
            throw new InputException($"{file} holds bytes of the value 0, which do not occur in text. Is it a text file? Name another, or "
                + "set its format.");
        var name = odd > even ? "UTF-16LE" : "UTF-16BE";
        throw new InputException($"{file} is {name} without a byte-order mark. Convert it: iconv -f {name} -t UTF-8 "
            + $"{Path.GetFileName(file)} > converted.txt");
    }

    /// <summary>How a text that is not UTF-8 reads in other encodings, and what to type. A guess is always shown with its result.</summary>
    /// <param name="file">The file.</param>
    /// <param name="line">The text from the beginning of a line that is not UTF-8.</param>
    public static string Advice(string file, ReadOnlySpan<byte> line)
    {
        line = line[..Math.Min(line.Length, Looked)];
        var end = line.IndexOf((byte)'\n');
        var whole = end < 0 ? line : line[..end];
        var name = Path.GetFileName(file);
        if (ReadsLikeGb18030(whole))
            return Guess("GB18030", Decoded("gb18030", whole), name);
        if (ReadsLikeLatin(whole))
            return Guess("WINDOWS-1252", Decoded("windows-1252", whole), name);
        return $"Find out how it was written (try: file -i {name}; or ask its author), and convert it: iconv -f ENCODING -t UTF-8 {name} > "
            + "converted.txt";
    }

    private static string Guess(string encoding, string text, string name) =>
        $"Read as {encoding} the line says \"{text}\". If that is right, convert it: iconv -f {encoding} -t UTF-8 {name} > converted.txt";

    // Around the first letters that are not plain ones.
    private static string Decoded(string encoding, ReadOnlySpan<byte> line)
    {
        Encoding.RegisterProvider(CodePagesEncodingProvider.Instance);
        var text = Encoding.GetEncoding(encoding).GetString(line);
        var first = Math.Max(0, text.AsSpan().IndexOfAnyExceptInRange('\0', '\x7F') - Shown / 2);
        return text.Substring(first, Math.Min(Shown, text.Length - first)).Trim();
    }

    // Two bytes per character, mostly common Chinese characters (GB 2312, rows 16 to 55) or punctuation.
    private static bool ReadsLikeGb18030(ReadOnlySpan<byte> line)
    {
        int pairs = 0, common = 0;
        for (var i = 0; i < line.Length; i++)
        {
            if (line[i] < 0x80)
                continue;
            if (i + 1 == line.Length)
                break;
            pairs++;
            var (lead, trail) = (line[i++], line[i]);
            if (trail >= 0xA1 && lead is (>= 0xB0 and <= 0xD7) or 0xA1 or 0xA3)
                common++;
        }
        return pairs > 0 && common >= Common * pairs;
    }

    // Single accented letters between plain ones.
    private static bool ReadsLikeLatin(ReadOnlySpan<byte> line)
    {
        int high = 0, alone = 0;
        for (var i = 0; i < line.Length; i++)
        {
            if (line[i] < 0x80)
                continue;
            high++;
            if ((i == 0 || line[i - 1] < 0x80) && (i + 1 == line.Length || line[i + 1] < 0x80))
                alone++;
        }
        return high > 0 && alone >= Common * high;
    }
}
