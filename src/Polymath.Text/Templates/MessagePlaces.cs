using System.Text.Json.Nodes;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Text.Templates;

/// <summary>The place where a template printed a part of a message.</summary>
/// <param name="Message">The message's number; that of the tool for <see cref="ProbePart.Tool"/>.</param>
/// <param name="Part">The part.</param>
/// <param name="Start">The first character of it in the rendering.</param>
/// <param name="End">The place after its last one.</param>
internal readonly record struct PrintedPart(int Message, ProbePart Part, int Start, int End);

/// <summary>Finds each message in the one full rendering of a conversation.</summary>
/// <param name="lay">Renders messages and tools.</param>
/// <param name="messages">The rendered messages.</param>
/// <param name="tools">The tools; null for none.</param>
/// <param name="whole">The full rendering of them.</param>
internal sealed class MessagePlaces(Func<JsonArray, JsonArray?, string> lay, JsonArray messages, JsonArray? tools, string whole)
{
    private static readonly MessageProbe.Spot[] spots = [MessageProbe.Spot.Middle, MessageProbe.Spot.Front, MessageProbe.Spot.Back];

    private readonly List<PrintedPart> found = [];
    private readonly HashSet<(int Message, ProbePart Part)> asked = [];
    private readonly List<int> repeated = [];

    /// <summary>The parts that were printed, in the order of the rendering.</summary>
    internal IReadOnlyList<PrintedPart> Found => found;

    /// <summary>Further places of a part, such as a function's name next to its result.</summary>
    internal IReadOnlyList<int> Repeated => repeated;

    /// <summary>Whether a part was searched and is not printed. An empty part is never missing.</summary>
    /// <param name="message">The message's or the tool's number.</param>
    /// <param name="part">The part.</param>
    internal bool IsMissing(int message, ProbePart part) =>
        asked.Contains((message, part)) && !found.Exists(found => found.Message == message && found.Part == part);

    /// <summary>Searches all messages.</summary>
    internal MessagePlaces Look()
    {
        if (!spots.Any(spot => Ask(spot, null)))
            Singly();
        found.Sort((one, two) => one.Start.CompareTo(two.Start));
        return this;
    }

    // Marks must not change the rendering: when the rendering without the marks differs from the full one, they prove nothing.
    private bool Ask(MessageProbe.Spot spot, int? only)
    {
        var (marked, offered) = (messages.DeepClone().AsArray(), tools?.DeepClone().AsArray());
        var probes = MessageProbe.Put(marked, offered, spot, only);
        if (probes.Count == 0)
            return true;
        string text;
        try
        {
            text = lay(marked, offered);
        }
        catch (JinjaException)
        {
            return false;
        }
        var (bare, marks) = MessageProbe.Take(text);
        if (bare != whole)
            return false;
        asked.UnionWith(probes.Select(probe => (probe.Message, probe.Part)));
        var seen = new HashSet<int>();
        foreach (var (number, at) in marks.Where(mark => mark.Number >= 0 && mark.Number < probes.Count))
        {
            var part = Grown(probes[number], at);
            if (seen.Add(number))
                found.Add(part);
            else
                repeated.Add(part.Start);
        }
        return true;
    }

    // Some templates read the content of one message and render all others by it.
    private void Singly()
    {
        for (var i = 0; i < messages.Count; i++)
        {
            if (!spots.Any(spot => Ask(spot, i)))
                Search(i);
        }
    }

    // The last resort: the message's own text, after the parts found so far.
    private void Search(int index)
    {
        if (MessageText.Of(messages[index])?.Trim() is not { } text)
            return;
        asked.Add((index, ProbePart.Content));
        var from = found.Count == 0 ? 0 : found.Max(part => part.End);
        if (text.Length > 0 && whole.IndexOf(text, from, StringComparison.Ordinal) is >= 0 and var at)
            found.Add(new PrintedPart(index, ProbePart.Content, at, at + text.Length));
    }

    /// <summary>
    /// The part around its mark, as far as the rendering repeats the message. White space at its edges may come from the template, which
    /// trims the message.
    /// </summary>
    private PrintedPart Grown(Probe probe, int at)
    {
        var (start, end, text) = (at, at, probe.Literal);
        for (var i = probe.Offset; i > 0 && start > 0 && whole[start - 1] == text[i - 1]; i--)
            start--;
        for (var i = probe.Offset; i < text.Length && end < whole.Length && whole[end] == text[i]; i++)
            end++;
        return new PrintedPart(probe.Message, probe.Part, start, end);
    }
}
