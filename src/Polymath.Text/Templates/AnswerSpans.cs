namespace Polymath.Text.Templates;

/// <summary>A part of a rendering that is learned.</summary>
/// <param name="Start">Its first character.</param>
/// <param name="End">The place after its last one.</param>
/// <param name="Message">The message that it belongs to.</param>
/// <param name="Ended">Whether it includes the token that ends the answer.</param>
internal readonly record struct AnswerSpan(int Start, int End, int Message, bool Ended);

/// <summary>
/// The parts of a rendering that the model itself says: from the end of the words that ask for an answer to the token that ends the turn.
/// </summary>
/// <param name="text">The rendering.</param>
/// <param name="places">The places of the messages in it.</param>
/// <param name="habits">How the template asks for answers and ends them.</param>
internal sealed class AnswerSpans(string text, MessagePlaces places, TemplateHabits habits)
{
    // Two letters may occur anywhere; three rarely do so by chance.
    private const int ShortestOpening = 3;

    private readonly (int Start, int End)? opener = habits.Marks.First(habits.Opening, 0, habits.Opening.Length);

    /// <summary>The part of a message that is learned.</summary>
    /// <param name="message">The message's number.</param>
    /// <param name="spoken">Whether it is the model's own; another speaker's message is learned without the words before it.</param>
    /// <returns>The part; null when the message is not printed.</returns>
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
        // A call without an end token: the text that the template writes after the function's name belongs to it.
        var rest = calls && behind == text.Length ? text[last..].TrimEnd().Length : 0;
        return new AnswerSpan(start, last + rest, message, Ended: false);
    }

    // The part starts after as much of the opening as is there: a template may open a thought that a given answer does not have.
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
        // No words ask for the answer, so it starts after the last mark that follows the earlier message.
        return habits.Marks.All(text, from, content).Select(mark => mark.End).DefaultIfEmpty(content).Last();
    }

    // The usual end of answers; else the last mark before the next turn, because some templates end a call in another way, or only with the
    // next speaker's mark.
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
