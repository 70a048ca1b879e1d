namespace Polymath.Text.Templates;

/// <summary>A part of a rendering that is learned.</summary>
/// <param name="Start">Its first character.</param>
/// <param name="End">The place behind its last one.</param>
/// <param name="Message">The message that it belongs to.</param>
/// <param name="Ended">Whether it holds the token that ends the answer.</param>
internal readonly record struct AnswerSpan(int Start, int End, int Message, bool Ended);

/// <summary>
/// What of a rendering the model itself says: from behind the words that ask it to speak, to the token that ends its turn.
/// </summary>
/// <param name="text">The rendering.</param>
/// <param name="places">Where the messages stand in it.</param>
/// <param name="habits">How the template asks for answers and ends them.</param>
internal sealed class AnswerSpans(string text, MessagePlaces places, TemplateHabits habits)
{
    // Two letters may stand anywhere; three rarely do so by chance.
    private const int ShortestOpening = 3;

    private readonly (int Start, int End)? opener = habits.Marks.First(habits.Opening, 0, habits.Opening.Length);

    /// <summary>What is learned of a message.</summary>
    /// <param name="message">The message's number.</param>
    /// <param name="spoken">Whether it is the model's own; another's is learned without what stands before it.</param>
    /// <returns>The part; null where the message is printed nowhere.</returns>
    internal AnswerSpan? Of(int message, bool spoken)
    {
        var own = places.Found.Where(part => part.Message == message && part.Part != ProbePart.Tool).ToList();
        if (own.Count == 0)
            return null;
        var (first, last) = (own.Min(part => part.Start), own.Max(part => part.End));
        var others = places.Found.Where(part => part.Message != message || part.Part == ProbePart.Tool).ToList();
        var before = others.Where(part => part.End <= first).Select(part => part.End).DefaultIfEmpty(0).Max();
        var behind = others.Select(part => part.Start).Concat(places.Repeated).Where(at => at >= last).DefaultIfEmpty(text.Length).Min();
        var start = spoken ? Start(before, first) : first;
        var calls = own.Exists(part => part.Part == ProbePart.Call);
        if (End(last, behind, calls) is { } end)
            return new AnswerSpan(start, end, message, Ended: true);
        // A call without an end: what the template writes behind the function's name belongs to it.
        var rest = calls && behind == text.Length ? text[last..].TrimEnd().Length : 0;
        return new AnswerSpan(start, last + rest, message, Ended: false);
    }

    // Behind as much of the opening as stands there: a template may open a thought that a given answer does not have.
    private int Start(int from, int content)
    {
        var gap = text.AsSpan(from, content - from);
        var (best, start) = (0, -1);
        for (var i = 0; i < gap.Length; i++)
        {
            var common = gap[i..].CommonPrefixLength(habits.Opening);
            if (common > 0 && common >= best)
                (best, start) = (common, from + i + common);
        }
        if (best > 0 && best >= (opener?.End ?? Math.Min(ShortestOpening, habits.Opening.Length)))
            return start;
        // No words of its own ask for the answer: it follows the last mark behind the message before it.
        return habits.Marks.All(text, from, content).Select(mark => mark.End).DefaultIfEmpty(content).Last();
    }

    // The end that answers have; else the last mark before the next turn begins, since some templates end a call otherwise, or leave it to
    // the next speaker's mark.
    private int? End(int from, int until, bool calls)
    {
        var end = habits.Ends.Last;
        if (end is not null && text.IndexOf(end, from, until - from, StringComparison.Ordinal) is >= 0 and var at
            && (calls || Blank(from, at)))
            return at + end.Length;
        var marks = habits.Marks.All(text, from, until).ToList();
        if (calls)
        {
            var own = marks.TakeWhile(mark => !IsOpener(mark)).ToList();
            return own.Count > 0 ? own[^1].End : null;
        }
        return marks.Count > 0 && Blank(from, marks[0].Start) && !IsOpener(marks[0]) ? marks[0].End : null;
    }

    private bool IsOpener((int Start, int End) mark) =>
        this.opener is { } opener
            && text.AsSpan(mark.Start, mark.End - mark.Start).SequenceEqual(habits.Opening.AsSpan(opener.Start, opener.End - opener.Start));

    private bool Blank(int from, int until) => string.IsNullOrWhiteSpace(text[from..until]);
}
