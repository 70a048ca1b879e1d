using System.Text;

namespace Polymath.Text;

/// <summary>
/// Rewrites a text the way a SentencePiece file asks for: replacements by the longest entry, spaces dropped, put in front and written as a
/// sign.
/// </summary>
internal sealed class SentencePieceNormalizer
{
    private const char Sign = '\u2581';
    private readonly SentencePieceFile _file;
    private readonly UserDefinedPieces _kept;

    public SentencePieceNormalizer(SentencePieceFile file, UserDefinedPieces kept) => (_file, _kept) = (file, kept);

    /// <summary>The rewritten text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="opens">Whether a space may be put in front.</param>
    public string Apply(string text, bool opens)
    {
        if (_file.Map is null && !_file.DropsSpaces && _kept.IsEmpty)
            return Plain(text, opens);
        var bytes = Encoding.UTF8.GetBytes(text);
        int at = 0, place = 0;
        if (_file.DropsSpaces)
        {
            while (at < text.Length && Prefix(text, bytes, at, place) is (" ", var width, var size))
                (at, place) = (at + width, place + size);
        }

        if (at == text.Length)
            return "";
        var space = _file.EscapesSpaces ? Sign : ' ';
        var result = new StringBuilder(text.Length + 8);
        var adds = _file.AddsSpace && opens;
        if (adds && !_file.SpaceEndsWord)
            result.Append(space);
        var afterSpace = _file.DropsSpaces;
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
            afterSpace &= _file.DropsSpaces;
        }

        while (_file.DropsSpaces && result.Length > 0 && result[^1] == space)
            result.Length--;
        if (adds && _file.SpaceEndsWord)
            result.Append(space);
        return result.ToString();
    }

    private string Plain(string text, bool opens)
    {
        if (text.Length == 0)
            return text;
        var space = _file.EscapesSpaces ? Sign : ' ';
        var spaced = text.Replace(' ', space);
        return !(_file.AddsSpace && opens) ? spaced : _file.SpaceEndsWord ? spaced + space : space + spaced;
    }

    private (string Text, int Width, int Size) Prefix(string text, byte[] bytes, int at, int place)
    {
        if (_kept.LengthAt(text, at) is > 0 and var kept)
            return (text.Substring(at, kept), kept, Encoding.UTF8.GetByteCount(text.AsSpan(at, kept)));
        if (_file.Map?.Longest(bytes.AsSpan(place)) is (> 0, _) and var (size, replaced))
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
    private readonly TokenTrie _trie = new();
    private readonly int[] _values;

    public UserDefinedPieces(SentencePieceFile file)
    {
        foreach (var (id, piece) in file.Pieces.Index())
        {
            if (piece.Kind == PieceKind.UserDefined)
                _trie.Add(piece.Text, id);
        }

        _values = _trie.Values();
    }

    /// <summary>Whether there are none.</summary>
    public bool IsEmpty => _values.Length == 1;

    /// <summary>The length of the longest piece at a place, or 0.</summary>
    public int LengthAt(ReadOnlySpan<char> text, int at)
    {
        if (IsEmpty)
            return 0;
        var longest = 0;
        var node = TokenTrie.Root;
        for (var end = at; end < text.Length;)
        {
            node = _trie.Next(node, text[end++]);
            if (node <= 0)
                break;
            if (_values[node] >= 0)
                longest = end - at;
        }

        return longest;
    }
}
