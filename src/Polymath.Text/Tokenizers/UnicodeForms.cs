using System.Globalization;
using System.Text;

namespace Polymath.Text;

/// <summary>The four normalization forms of Unicode.</summary>
internal enum UnicodeForm
{
    /// <summary>Canonical composition.</summary>
    Nfc,

    /// <summary>Canonical decomposition.</summary>
    Nfd,

    /// <summary>Compatibility decomposition, then canonical composition.</summary>
    Nfkc,

    /// <summary>Compatibility decomposition.</summary>
    Nfkd,
}

/// <summary>
/// Unicode normalization (Unicode Standard Annex 15) from a table of our own: with invariant globalization, which keeps a run the same
/// on every machine, .NET leaves texts as they are.
/// </summary>
internal static class UnicodeForms
{
    private const int HangulBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7, Leads = 19, Vowels = 21, Trails = 28;
    private static readonly Dictionary<int, int[]> Canonical = [], Compatible = [];
    private static readonly Dictionary<(int, int), int> Composites = [];
    private static readonly Dictionary<int, byte> Classes = [];

    static UnicodeForms()
    {
        using var stream = typeof(UnicodeForms).Assembly.GetManifestResourceStream("Polymath.Text.UnicodeNormalization.txt")!;
        using var reader = new StreamReader(stream);
        // Lines: "class FIRST LAST NUMBER", "= CODE PARTS..." (composes back), "! CODE PARTS..." (does not), "~ CODE PARTS..." (compatibility only).
        while (reader.ReadLine() is { } line)
        {
            var words = line.Split(' ');
            var codes = words[1..].Select(word => int.Parse(word, NumberStyles.HexNumber)).ToArray();
            switch (words[0])
            {
                case "class":
                    for (var code = codes[0]; code <= codes[1]; code++)
                        Classes[code] = (byte)codes[2];
                    break;
                case "~":
                    Compatible[codes[0]] = codes[1..];
                    break;
                default:
                    Canonical[codes[0]] = codes[1..];
                    if (words[0] == "=")
                        Composites[(codes[1], codes[2])] = codes[0];
                    break;
            }
        }
    }

    /// <summary>The text in a normalization form; halves of surrogate pairs become U+FFFD.</summary>
    public static string Apply(string text, UnicodeForm form)
    {
        if (Ascii.IsValid(text))
            return text;
        var codes = new List<int>(text.Length + 8);
        foreach (var rune in text.EnumerateRunes())
            Decompose(rune.Value, form is UnicodeForm.Nfkc or UnicodeForm.Nfkd, codes);
        Reorder(codes);
        if (form is UnicodeForm.Nfc or UnicodeForm.Nfkc)
            Compose(codes);
        var result = new StringBuilder(codes.Count);
        foreach (var code in codes)
            result.Append(new Rune(code).ToString());
        return result.ToString();
    }

    private static byte ClassOf(int code) => code < 0x300 ? (byte)0 : Classes.GetValueOrDefault(code);

    private static void Decompose(int code, bool compatible, List<int> into)
    {
        if (code < 0xA0)
        {
            into.Add(code);
        }
        else if (code - HangulBase is >= 0 and < Leads * Vowels * Trails and var syllable)
        {
            into.Add(LeadBase + syllable / (Vowels * Trails));
            into.Add(VowelBase + syllable % (Vowels * Trails) / Trails);
            if (syllable % Trails != 0)
                into.Add(TrailBase + syllable % Trails);
        }
        else if (Canonical.TryGetValue(code, out var parts) || (compatible && Compatible.TryGetValue(code, out parts)))
        {
            foreach (var part in parts)
                Decompose(part, compatible, into);
        }
        else
        {
            into.Add(code);
        }
    }

    // Marks are sorted by class, those of one class keeping their order.
    private static void Reorder(List<int> codes)
    {
        for (var i = 1; i < codes.Count; i++)
        {
            var code = codes[i];
            var own = ClassOf(code);
            if (own == 0)
                continue;
            var at = i;
            while (at > 0 && ClassOf(codes[at - 1]) > own)
            {
                codes[at] = codes[at - 1];
                at--;
            }

            codes[at] = code;
        }
    }

    private static void Compose(List<int> codes)
    {
        var starter = -1;
        var lastClass = 0;
        var count = 0;
        foreach (var code in codes.ToArray())
        {
            var own = ClassOf(code);
            // A mark reaches its starter unless something of the same or a higher class, or another starter, lies between.
            var blocked = starter >= 0 && starter < count - 1 && (lastClass == 0 || lastClass >= own);
            if (starter >= 0 && !blocked && Pair(codes[starter], code) is { } composite)
            {
                codes[starter] = composite;
                continue;
            }

            if (own == 0)
                starter = count;
            lastClass = own;
            codes[count++] = code;
        }

        codes.RemoveRange(count, codes.Count - count);
    }

    private static int? Pair(int first, int second)
    {
        if (first - LeadBase is >= 0 and < Leads and var lead && second - VowelBase is >= 0 and < Vowels and var vowel)
            return HangulBase + (lead * Vowels + vowel) * Trails;
        if (first - HangulBase is >= 0 and < Leads * Vowels * Trails and var syllable && syllable % Trails == 0 && second - TrailBase is > 0 and < Trails and var trail)
            return first + trail;
        return Composites.TryGetValue((first, second), out var composite) ? composite : null;
    }
}
