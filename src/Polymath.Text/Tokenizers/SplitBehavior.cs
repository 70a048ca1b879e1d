namespace Polymath.Text;

/// <summary>The treatment of the matches at which a text is split.</summary>
internal enum SplitBehavior
{
    /// <summary>Matches are dropped.</summary>
    Removed,

    /// <summary>Each match is a separate part.</summary>
    Isolated,

    /// <summary>Each match ends the part before it.</summary>
    MergedWithPrevious,

    /// <summary>Each match begins the part after it.</summary>
    MergedWithNext,

    /// <summary>Neighbouring matches form one part.</summary>
    Contiguous,
}

/// <summary>Splits a piece at matches by a behaviour.</summary>
internal static class SplitBehaviors
{
    /// <summary>Reads a behaviour by its name.</summary>
    public static SplitBehavior Read(JsonPart part) =>
        Enum.TryParse<SplitBehavior>(part.Text(), out var behavior) && Enum.IsDefined(behavior)
            ? behavior
            : throw part.Fault($"the behaviour '{part.Text()}' is not one of {string.Join(", ", Enum.GetNames<SplitBehavior>())}");

    /// <summary>Splits.</summary>
    /// <param name="piece">The piece.</param>
    /// <param name="matches">The matches in it, in order.</param>
    /// <param name="behavior">The treatment of the matches.</param>
    /// <param name="invert">Whether the text between the matches is treated as the matches.</param>
    /// <param name="into">Receives the parts.</param>
    public static void Split(
        Piece piece,
        List<(int Start, int End)> matches,
        SplitBehavior behavior,
        bool invert,
        List<Piece> into)
    {
        var spans = Spans(piece.Length, matches, invert);
        var open = -1;
        for (var i = 0; i < spans.Count; i++)
        {
            var (start, end, isMatch) = spans[i];
            if (behavior == SplitBehavior.Removed && isMatch)
                continue;
            if (open < 0)
                open = start;
            var last = i == spans.Count - 1;
            var continues = !last && behavior switch
            {
                SplitBehavior.MergedWithPrevious => !isMatch && spans[i + 1].IsMatch,
                SplitBehavior.MergedWithNext => isMatch && !spans[i + 1].IsMatch,
                SplitBehavior.Contiguous => isMatch == spans[i + 1].IsMatch,
                _ => false,
            };
            if (continues)
                continue;
            into.Add(piece.Slice(open, end));
            open = -1;
        }
    }

    private static List<(int Start, int End, bool IsMatch)> Spans(int length, List<(int Start, int End)> matches, bool invert)
    {
        var spans = new List<(int, int, bool)>(2 * matches.Count + 1);
        var at = 0;
        foreach (var (start, end) in matches)
        {
            if (start > at)
                spans.Add((at, start, invert));
            spans.Add((start, end, !invert));
            at = end;
        }

        if (at < length)
            spans.Add((at, length, invert));
        return spans;
    }
}
