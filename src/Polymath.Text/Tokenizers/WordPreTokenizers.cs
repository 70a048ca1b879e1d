namespace Polymath.Text;

/// <summary>Writes spaces as a visible sign, puts one in front and splits before each (SentencePiece's way).</summary>
internal sealed class MetaspacePreTokenizer(char replacement, string scheme, bool split) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into)
    {
        var source = piece.Span;
        var prepends = (source.IsEmpty || (source[0] != replacement && source[0] != ' '))
            && (scheme == "always" || (scheme == "first" && piece.Opens));
        var text = string.Create(source.Length + (prepends ? 1 : 0), (piece, replacement, prepends), static (span, state) =>
        {
            span[0] = state.replacement;
            state.piece.Span.Replace(span[(state.prepends ? 1 : 0)..], ' ', state.replacement);
        });
        var whole = new Piece(text, 0, text.Length, piece.Opens);
        if (!split)
        {
            into.Add(whole);
            return;
        }

        for (int at = 0, end; at < text.Length; at = end)
        {
            var next = text.IndexOf(replacement, at + 1);
            into.Add(whole.Slice(at, end = next < 0 ? text.Length : next));
        }
    }
}

/// <summary>Splits at the characters of a set.</summary>
internal sealed class SetPreTokenizer(CodePointSet set, SplitBehavior behavior) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into) => SplitBehaviors.Split(
        piece,
        set.Matches(piece.Span),
        behavior,
        false,
        into);
}

/// <summary>Keeps what is between white space.</summary>
internal sealed class WhitespaceSplitPreTokenizer : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into)
    {
        var span = piece.Span;
        var open = 0;
        for (var i = 0; i < span.Length; i++)
        {
            if (!char.IsWhiteSpace(span[i]))
                continue;
            if (open < i)
                into.Add(piece.Slice(open, i));
            open = i + 1;
        }

        if (open < span.Length)
            into.Add(piece.Slice(open, span.Length));
    }
}

/// <summary>Keeps runs of word characters and runs of signs: <c>\w+|[^\w\s]+</c>.</summary>
internal sealed class WhitespacePreTokenizer : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into)
    {
        var span = piece.Span;
        var open = 0;
        var kind = 0;
        for (int i = 0, width; i < span.Length; i += width)
        {
            var code = CharacterSets.At(span, i, out width);
            var visible = CharacterSets.Word.Contains(code) ? 1 : 2;
            var next = code <= char.MaxValue && char.IsWhiteSpace((char)code) ? 0 : visible;
            if (next == kind)
                continue;
            if (kind > 0)
                into.Add(piece.Slice(open, i));
            (open, kind) = (i, next);
        }

        if (kind > 0)
            into.Add(piece.Slice(open, span.Length));
    }
}

/// <summary>Splits at white space, which is dropped, and makes each punctuation sign a separate word (Devlin et al. 2019).</summary>
internal sealed class BertPreTokenizer : PreTokenizer
{
    private static readonly bool[] Ends = [.. Enumerable.Range(0, 128)
        .Select(code => char.IsWhiteSpace((char)code) || CharacterSets.Punctuation.Contains(code))];

    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into)
    {
        var span = piece.Span;
        var open = 0;
        for (int i = 0, width; i < span.Length; i += width)
        {
            var unit = span[i];
            width = 1;
            if (unit < 128 && !Ends[unit])
                continue;
            var code = CharacterSets.At(span, i, out width);
            var space = width == 1 && char.IsWhiteSpace(unit);
            if (!space && !CharacterSets.Punctuation.Contains(code))
                continue;
            if (open < i)
                into.Add(piece.Slice(open, i));
            if (!space)
                into.Add(piece.Slice(i, i + width));
            open = i + width;
        }

        if (open < span.Length)
            into.Add(piece.Slice(open, span.Length));
    }
}

/// <summary>Cuts into parts of a fixed number of characters; the last may be shorter.</summary>
internal sealed class FixedLengthPreTokenizer(int length) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into)
    {
        var span = piece.Span;
        var (open, count) = (0, 0);
        for (int i = 0, width; i < span.Length; i += width)
        {
            _ = CharacterSets.At(span, i, out width);
            if (++count < length)
                continue;
            into.Add(piece.Slice(open, i + width));
            (open, count) = (i + width, 0);
        }

        if (open < span.Length)
            into.Add(piece.Slice(open, span.Length));
    }
}

/// <summary>
/// Splits where the script changes; Chinese and Japanese count as one. Characters of no script at the start of a text are dropped, as in
/// the library.
/// </summary>
internal sealed class UnicodeScriptsPreTokenizer : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into)
    {
        var span = piece.Span;
        var (open, last) = (-1, 0);
        for (int i = 0, width; i < span.Length; i += width)
        {
            var family = CharacterSets.FamilyOf(CharacterSets.At(span, i, out width));
            if (family == 0 || family == last)
                continue;
            if (open >= 0)
                into.Add(piece.Slice(open, i));
            (open, last) = (i, family);
        }

        if (open >= 0)
            into.Add(piece.Slice(open, span.Length));
    }
}
