using System.Text;

namespace Polymath.Text;

/// <summary>A part of a text during tokenization.</summary>
/// <param name="Text">The text that contains the part.</param>
/// <param name="Start">Its start, in UTF-16 units.</param>
/// <param name="Length">Its length, in UTF-16 units.</param>
/// <param name="Opens">Whether it is the first part of the encoded text.</param>
internal readonly record struct Piece(string Text, int Start, int Length, bool Opens)
{
    /// <summary>The characters.</summary>
    public ReadOnlySpan<char> Span => Text.AsSpan(Start, Length);

    /// <summary>A part of this part.</summary>
    public Piece Slice(int from, int to) => new(Text, Start + from, to - from, Opens && from == 0);
}

/// <summary>Splits a text into the words that are turned into tokens one by one.</summary>
internal abstract class PreTokenizer
{
    /// <summary>Splits one part further.</summary>
    public abstract void Split(Piece piece, List<Piece> into);
}

/// <summary>Splits where a pattern matches.</summary>
internal sealed class SplitPreTokenizer(TextPattern pattern, SplitBehavior behavior, bool invert) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into)
    {
        if (pattern.Scanner is { } scanner && behavior == SplitBehavior.Isolated)
        {
            SplitByScanner(scanner, piece, into);
            return;
        }

        SplitBehaviors.Split(
            piece,
            pattern.Matches(piece.Span),
            behavior,
            invert,
            into);
    }

    /// <summary>Splits into the words a scanner finds.</summary>
    public static void SplitByScanner(WordScanner scanner, Piece piece, List<Piece> into)
    {
        var span = piece.Span;
        for (int at = 0, end; at < span.Length; at = end)
            into.Add(piece.Slice(at, end = scanner.EndOf(span, at)));
    }
}

/// <summary>Splits by GPT-2's pattern and, if requested, writes the words in the byte alphabet.</summary>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, bool useRegex, bool mapBytes) : PreTokenizer
{
    /// <summary>The same, for a model that reads bytes itself.</summary>
    public ByteLevelPreTokenizer WithoutMapping() => new(addPrefixSpace, useRegex, false);

    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into)
    {
        if (addPrefixSpace && !piece.Span.StartsWith(" "))
            piece = new(" " + piece.Span.ToString(), 0, piece.Length + 1, piece.Opens);
        var first = into.Count;
        if (useRegex)
            SplitPreTokenizer.SplitByScanner(WordScanner.Gpt2, piece, into);
        else
            into.Add(piece);
        for (var i = first; mapBytes && i < into.Count; i++)
        {
            var mapped = ByteAlphabet.Write(Encoding.UTF8.GetBytes(into[i].Span.ToString()));
            into[i] = new(mapped, 0, mapped.Length, into[i].Opens);
        }
    }
}
