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
/// Unicode normalization (Unicode Standard Annex 15) from our own table: with invariant globalization, which makes runs equal on all
/// machines, .NET does not normalize texts.
/// </summary>
internal static class UnicodeForms
{
    private const int HangulBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7, Leads = 19, Vowels = 21, Trails = 28;
    private static readonly Dictionary<int, int[]> Canonical = [], Compatible = [];
    private static readonly Dictionary<(int, int), int> Composites = [];
    private static readonly Dictionary<int, byte> Classes = [];
    private static readonly bool[][] Inert;

    static UnicodeForms()
    {
        using var stream = typeof(UnicodeForms).Assembly.GetManifestResourceStream("Polymath.Text.UnicodeNormalization.txt")!;
        using var reader = new StreamReader(stream);
        // Lines: "class FIRST LAST NUMBER", "= CODE PARTS..." (composes back), "! CODE PARTS..." (does not), "~ CODE PARTS..."
        // (compatibility only).
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

        Inert = [.. Enum.GetValues<UnicodeForm>().Select(FindInert)];
    }

    /// <summary>The text in a normalization form; halves of surrogate pairs become U+FFFD.</summary>
    public static string Apply(string text, UnicodeForm form)
    {
        var inert = Inert[(int)form];
        var at = NextChanging(text, 0, inert);
        if (at == text.Length)
            return text;
        var result = new StringBuilder(text.Length + 8);
        var codes = new List<int>();
        var done = 0;
        while (at < text.Length)
        {
            // A changed part may combine with the character before it, and ends before the next character that does not combine.
            var start = Math.Max(done, at - (at > 1 && char.IsLowSurrogate(text[at - 1]) ? 2 : 1));
            var end = at + 1;
            while (end < text.Length && !inert[text[end]])
                end++;
            result.Append(text, done, start - done);
            codes.Clear();
            foreach (var rune in text.AsSpan(start, end - start).EnumerateRunes())
                Decompose(rune.Value, form is UnicodeForm.Nfkc or UnicodeForm.Nfkd, codes);
            Reorder(codes);
            if (form is UnicodeForm.Nfc or UnicodeForm.Nfkc)
                Compose(codes);
            foreach (var code in codes)
                result.Append(new Rune(code).ToString());
            done = end;
            at = NextChanging(text, end, inert);
        }

        return result.Append(text, done, text.Length - done).ToString();
    }

    private static int NextChanging(string text, int at, bool[] inert)
    {
        while (at < text.Length && inert[text[at]])
            at++;
        return at;
    }

    // Characters that do not change, are not marks, and do not combine with the character before.
    private static bool[] FindInert(UnicodeForm form)
    {
        var seconds = Composites.Keys.Select(pair => pair.Item2).ToHashSet();
        var composes = form is UnicodeForm.Nfc or UnicodeForm.Nfkc;
        var inert = new bool[char.MaxValue + 1];
        var codes = new List<int>();
        for (var unit = 0; unit <= char.MaxValue; unit++)
        {
            if (char.IsSurrogate((char)unit) || ClassOf(unit) != 0)
                continue;
            codes.Clear();
            Decompose(unit, form is UnicodeForm.Nfkc or UnicodeForm.Nfkd, codes);
            if (composes)
                Compose(codes);
            var joins = composes
                && (seconds.Contains(unit) || unit - VowelBase is >= 0 and < Vowels || unit - TrailBase is > 0 and < Trails);
            inert[unit] = codes.Count == 1 && codes[0] == unit && !joins;
        }

        return inert;
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

    // Marks are sorted by class with a stable sort. A text may have any number of marks in a row, so the work must not be quadratic.
    private static void Reorder(List<int> codes)
    {
        Span<int> places = stackalloc int[byte.MaxValue + 2];
        for (var start = 0; start < codes.Count; start++)
        {
            var end = start;
            var sorted = true;
            for (byte last = 0; end < codes.Count && ClassOf(codes[end]) is not 0 and var own; end++, last = own) sorted &= own >= last;
            if (!sorted) SortByClass(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(codes)[start..end], places);
            start = end;
        }
    }

    // A counting sort: counts each class, then puts every mark after those of lower classes.
    private static void SortByClass(Span<int> marks, Span<int> places)
    {
        places.Clear();
        foreach (var code in marks) places[ClassOf(code) + 1]++;
        for (var i = 1; i < places.Length; i++) places[i] += places[i - 1];
        foreach (var code in marks.ToArray()) marks[places[ClassOf(code)]++] = code;
    }

    private static void Compose(List<int> codes)
    {
        var starter = -1;
        var lastClass = 0;
        var count = 0;
        foreach (var code in codes.ToArray())
        {
            var own = ClassOf(code);
            // A mark can combine with its starter unless a mark of the same or a higher class, or another starter, is between them.
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
        if (first - HangulBase is >= 0 and < Leads * Vowels * Trails and var syllable
            && syllable % Trails == 0 && second - TrailBase is > 0 and < Trails and var trail)
            return first + trail;
        return Composites.TryGetValue((first, second), out var composite) ? composite : null;
    }
}
