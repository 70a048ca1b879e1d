using System.Buffers;
using System.Text;

namespace Polymath.Text;

/// <summary>A token outside the model's vocabulary that is found in the text itself.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">The text it stands for.</param>
/// <param name="SingleWord">Whether it is found only as a word of its own.</param>
/// <param name="LeftStrip">Whether it includes the white space before it.</param>
/// <param name="RightStrip">Whether it includes the white space after it.</param>
/// <param name="Normalized">Whether it is searched in the normalized text.</param>
/// <param name="Special">Whether it is a control token without text.</param>
internal sealed record AddedToken(
    int Id,
    string Content,
    bool SingleWord,
    bool LeftStrip,
    bool RightStrip,
    bool Normalized,
    bool Special)
{
    /// <summary>The names under which settings name a token for a purpose.</summary>
    internal static readonly string[] Purposes =
        ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    /// <summary>A token that settings write as its text alone. Special ones are found before a text is normalized, others after.</summary>
    /// <param name="id">Its id.</param>
    /// <param name="content">Its text.</param>
    /// <param name="special">Whether it is special.</param>
    internal static AddedToken Plain(int id, string content, bool special) => new(
        id,
        content,
        false,
        false,
        false,
        !special,
        special);

    /// <summary>A token that a file writes as an object with flags.</summary>
    /// <param name="part">The object.</param>
    /// <param name="id">The token's id.</param>
    /// <param name="special">Whether it is special, where the object does not say.</param>
    /// <param name="normalized">Whether it is found in normalized text, where the object is silent; null: unless it is special.</param>
    internal static AddedToken Of(JsonPart part, int id, bool special, bool? normalized)
    {
        bool On(string flag, bool otherwise) => part.Find(flag)?.Flag() ?? otherwise;
        special = On("special", special);
        return new AddedToken(
            id,
            part.Get("content").Text(),
            On("single_word", false),
            On("lstrip", false),
            On("rstrip", false),
            On("normalized", normalized ?? !special),
            special);
    }

    /// <summary>Whether plain text must not produce it.</summary>
    public bool IsControl =>
        Special || (Content.Length > 1 && ((Content[0] == '<' && Content[^1] == '>') || (Content[0] == '[' && Content[^1] == ']')));
}

/// <summary>Finds added tokens in a text: the leftmost one first, and the longest of several at one place.</summary>
internal sealed class AddedTokenFinder
{
    private readonly Dictionary<char, (string Pattern, AddedToken Token)[]> byFirst;
    private readonly SearchValues<char> firsts;

    /// <summary>A finder of some tokens by the texts that stand for them.</summary>
    public AddedTokenFinder(IEnumerable<(string Pattern, AddedToken Token)> tokens)
    {
        byFirst = tokens.Where(token => token.Pattern.Length > 0).GroupBy(token => token.Pattern[0])
            .ToDictionary(group => group.Key, group => group.OrderByDescending(token => token.Pattern.Length).ToArray());
        firsts = SearchValues.Create([.. byFirst.Keys]);
    }

    /// <summary>Cuts a text into tokens and the text between them.</summary>
    /// <returns>The parts in order, as starts and ends in UTF-16 units; the token is null for text in between.</returns>
    public List<(int Start, int End, AddedToken? Token)> Cut(string text)
    {
        var parts = new List<(int, int, AddedToken?)>();
        var done = 0;
        for (var at = 0; at < text.Length;)
        {
            var offset = byFirst.Count == 0 ? -1 : text.AsSpan(at).IndexOfAny(firsts);
            if (offset < 0)
                break;
            at += offset;
            if (LongestAt(text, at) is not var (pattern, token))
            {
                at++;
                continue;
            }

            var (start, end) = (at, at + pattern.Length);
            at = end;
            if (token.SingleWord && (EndsInWord(text.AsSpan(0, start)) || StartsWithWord(text.AsSpan(end))))
                continue;
            if (token.LeftStrip)
                start = Math.Max(done, text.AsSpan(0, start).TrimEnd().Length);
            if (token.RightStrip)
                end = text.Length - text.AsSpan(end).TrimStart().Length;
            if (done < start)
                parts.Add((done, start, null));
            parts.Add((start, end, token));
            done = end;
        }

        if (done < text.Length)
            parts.Add((done, text.Length, null));
        return parts;
    }

    private (string Pattern, AddedToken Token)? LongestAt(string text, int at)
    {
        foreach (var candidate in byFirst[text[at]])
        {
            if (text.AsSpan(at).StartsWith(candidate.Pattern, StringComparison.Ordinal))
                return candidate;
        }

        return null;
    }

    private static bool EndsInWord(ReadOnlySpan<char> text) =>
        Rune.DecodeLastFromUtf16(text, out var rune, out _) == OperationStatus.Done && CharacterKinds.IsWord(rune);

    private static bool StartsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeFromUtf16(text, out var rune, out _) == OperationStatus.Done && CharacterKinds.IsWord(rune);
}
