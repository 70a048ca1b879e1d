using System.Text;

namespace Polymath.Text;

/// <summary>
/// Normalizes a text as a SentencePiece file says: replacements by the longest entry; spaces are dropped, put in front and written as a
/// sign.
/// </summary>
internal sealed class SentencePieceNormalizer
{
    private const char Sign = '\u2581';
    private readonly SentencePieceFile file;
    private readonly UserDefinedPieces kept;

    public SentencePieceNormalizer(SentencePieceFile file, UserDefinedPieces kept) => (this.file, this.kept) = (file, kept);

    /// <summary>The rewritten text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="opens">Whether a space may be put in front.</param>
    public string Apply(string text, bool opens)
    {
        if (file.Map is null && !file.DropsSpaces && kept.IsEmpty)
            return Plain(text, opens);
        var bytes = Encoding.UTF8.GetBytes(text);
        int at = 0, place = 0;
        if (file.DropsSpaces)
        {
            while (at < text.Length && Prefix(text, bytes, at, place) is (" ", var width, var size))
                (at, place) = (at + width, place + size);
        }

        if (at == text.Length)
            return "";
        var space = file.EscapesSpaces ? Sign : ' ';
        var result = new StringBuilder(text.Length + 8);
        var adds = file.AddsSpace && opens;
        if (adds && !file.SpaceEndsWord)
            result.Append(space);
        var afterSpace = file.DropsSpaces;
        while (at < text.Length)
        {
            var (piece, width, size) = Prefix(text, bytes, at, place);
            (at, place) = (at + width, place + size);
            var part = piece.AsSpan();
            while (afterSpace && part.StartsWith(" "))
                part = part[1..];
            foreach (var unit in part)
                result.Append(unit == ' ' ? space : unit);
            if (!part.IsEmpty)
                afterSpace = part[^1] == ' ';
            afterSpace &= file.DropsSpaces;
        }

        while (file.DropsSpaces && result.Length > 0 && result[^1] == space)
            result.Length--;
        if (adds && file.SpaceEndsWord)
            result.Append(space);
        return result.ToString();
    }

    private string Plain(string text, bool opens)
    {
        if (text.Length == 0)
            return text;
        var space = file.EscapesSpaces ? Sign : ' ';
        var spaced = text.Replace(' ', space);
        if (!(file.AddsSpace && opens))
            return spaced;
        return file.SpaceEndsWord ? spaced + space : space + spaced;
    }

    private (string Text, int Width, int Size) Prefix(string text, byte[] bytes, int at, int place)
    {
        if (this.kept.LengthAt(text, at) is > 0 and var kept)
            return (text.Substring(at, kept), kept, Encoding.UTF8.GetByteCount(text.AsSpan(at, kept)));
        if (file.Map?.Longest(bytes.AsSpan(place)) is (> 0, _) and var (size, replaced))
        {
            var width = 0;
            for (var counted = 0; counted < size; width++)
            {
                var count = SizeAt(text, at + width);
                if (count == 4)
                    width++;
                counted += count;
            }

            return (replaced, width, size);
        }

        var own = char.IsHighSurrogate(text[at]) && SizeAt(text, at) == 4 ? 2 : 1;
        // Half a surrogate pair was written as U+FFFD.
        return (own == 1 && char.IsSurrogate(text[at]) ? "\uFFFD" : text.Substring(at, own), own, SizeAt(text, at));
    }

    private static int SizeAt(string text, int at) => text[at] switch
    {
        < '\u0080' => 1,
        < '\u0800' => 2,
        _ => char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]) ? 4 : 3,
    };
}

/// <summary>The pieces that are always kept whole: the longest one at a place counts.</summary>
internal sealed class UserDefinedPieces
{
    private readonly TokenTrie trie = new();
    private readonly int[] values;

    public UserDefinedPieces(SentencePieceFile file)
    {
        foreach (var (id, piece) in file.Pieces.Index())
        {
            if (piece.Kind == PieceKind.UserDefined)
                trie.Add(piece.Text, id);
        }

        values = trie.Values();
    }

    /// <summary>Whether there are none.</summary>
    public bool IsEmpty => values.Length == 1;

    /// <summary>The length of the longest piece at a place, or 0.</summary>
    public int LengthAt(ReadOnlySpan<char> text, int at)
    {
        if (IsEmpty)
            return 0;
        var longest = 0;
        var node = TokenTrie.Root;
        for (var end = at; end < text.Length;)
        {
            node = trie.Next(node, text[end++]);
            if (node <= 0)
                break;
            if (values[node] >= 0)
                longest = end - at;
        }

        return longest;
    }
}
