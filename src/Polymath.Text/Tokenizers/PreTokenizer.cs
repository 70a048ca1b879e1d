using System.Text;

namespace Polymath.Text;

/// <summary>A part of a text on its way into tokens.</summary>
/// <param name="Text">The text the part lies in.</param>
/// <param name="Start">Where it starts, in UTF-16 units.</param>
/// <param name="Length">How long it is, in UTF-16 units.</param>
/// <param name="Opens">Whether it is the first part of what was given to encode.</param>
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

        SplitBehaviors.Split(piece, pattern.Matches(piece.Span), behavior, invert, into);
    }

    /// <summary>Splits into the words a scanner finds.</summary>
    public static void SplitByScanner(WordScanner scanner, Piece piece, List<Piece> into)
    {
        var span = piece.Span;
        for (int at = 0, end; at < span.Length; at = end)
            into.Add(piece.Slice(at, end = scanner.EndOf(span, at)));
    }
}

/// <summary>Splits by GPT-2's pattern and, where a letter of the byte alphabet is to stand for each byte, writes the words in it.</summary>
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

/// <summary>Writes spaces as a visible sign, puts one in front and splits before each (SentencePiece's way).</summary>
internal sealed class MetaspacePreTokenizer(char replacement, string scheme, bool split) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into)
    {
        var text = piece.Span.ToString().Replace(' ', replacement);
        if (!text.StartsWith(replacement) && (scheme == "always" || (scheme == "first" && piece.Opens)))
            text = replacement + text;
        var whole = new Piece(text, 0, text.Length, piece.Opens);
        if (split)
            SplitBehaviors.Split(whole, TextPattern.Of(replacement.ToString()).Matches(text), SplitBehavior.MergedWithNext, false, into);
        else
            into.Add(whole);
    }
}

/// <summary>Splits numbers from the rest, as runs or digit by digit.</summary>
internal sealed class DigitsPreTokenizer(bool individual) : PreTokenizer
{
    private static readonly TextPattern Number = TextPattern.OfRegex(@"\p{N}")!;

    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into)
        => SplitBehaviors.Split(piece, Number.Matches(piece.Span), individual ? SplitBehavior.Isolated : SplitBehavior.Contiguous, false, into);
}

/// <summary>Splits punctuation from the rest.</summary>
internal sealed class PunctuationPreTokenizer(SplitBehavior behavior) : PreTokenizer
{
    private static readonly TextPattern Sign = TextPattern.OfRegex(@"[\p{P}!-/:-@\[-`{-~]")!;

    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into) => SplitBehaviors.Split(piece, Sign.Matches(piece.Span), behavior, false, into);
}

/// <summary>Keeps what is between white space.</summary>
internal sealed class WhitespaceSplitPreTokenizer : PreTokenizer
{
    private static readonly TextPattern Space = TextPattern.OfRegex(@"\s")!;

    /// <inheritdoc/>
    public override void Split(Piece piece, List<Piece> into) => SplitBehaviors.Split(piece, Space.Matches(piece.Span), SplitBehavior.Removed, false, into);
}
