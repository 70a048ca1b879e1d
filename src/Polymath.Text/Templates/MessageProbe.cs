using System.Text;
using System.Text.Json.Nodes;

namespace Polymath.Text.Templates;

/// <summary>The part of a message with a probe.</summary>
internal enum ProbePart
{
    /// <summary>The content of the message.</summary>
    Content,

    /// <summary>The model's thought before its answer.</summary>
    Thought,

    /// <summary>The name of a function that is called.</summary>
    Call,

    /// <summary>The name of a tool that may be called.</summary>
    Tool,
}

/// <summary>One probe and its place.</summary>
/// <param name="Message">The message's number; that of the tool for <see cref="ProbePart.Tool"/>.</param>
/// <param name="Part">The part of the message.</param>
/// <param name="Literal">The text around it, without the probe.</param>
/// <param name="Offset">The place in the text.</param>
internal readonly record struct Probe(int Message, ProbePart Part, string Literal, int Offset);

/// <summary>
/// Puts marks, which no text contains, into the messages of a conversation. Their places in the rendering show where the template printed
/// each message. Marks are inside a text and never at its edges, where templates trim and compare.
/// </summary>
internal static class MessageProbe
{
    /// <summary>Begins a mark; the next character is its number.</summary>
    private const char Mark = '\uF8D0';

    private const int FirstNumber = 0xE000, MostProbes = 6000;
    private const string ThoughtEnd = "</think>";
    private static readonly string[] ThoughtKeys = ["reasoning_content", "thinking", "reasoning"];

    /// <summary>The place of a probe in a text.</summary>
    internal enum Spot
    {
        /// <summary>In the middle of the text's words.</summary>
        Middle,

        /// <summary>After its first character.</summary>
        Front,

        /// <summary>Before its last character.</summary>
        Back,
    }

    /// <summary>Puts probes into copies of messages and tools.</summary>
    /// <param name="messages">The messages; they are changed.</param>
    /// <param name="tools">The tools; they are changed. Null for none.</param>
    /// <param name="spot">The place in each text.</param>
    /// <param name="only">The one message that gets probes; null for all.</param>
    /// <returns>The probes by their numbers.</returns>
    internal static List<Probe> Put(JsonArray messages, JsonArray? tools, Spot spot, int? only = null)
    {
        var probes = new List<Probe>();
        for (var i = 0; i < messages.Count; i++)
        {
            if ((only is { } one && one != i) || messages[i] is not JsonObject message)
                continue;
            foreach (var key in ThoughtKeys)
                Into(
                    message,
                    key,
                    i,
                    ProbePart.Thought,
                    spot,
                    probes);
            Content(message, i, spot, probes);
            foreach (var call in message["tool_calls"] as JsonArray ?? [])
                Into(
                    (call?["function"] ?? call) as JsonObject,
                    "name",
                    i,
                    ProbePart.Call,
                    spot,
                    probes);
        }
        for (var i = 0; i < (tools?.Count ?? 0); i++)
        {
            if (only is null)
                Into(
                    (tools![i]?["function"] ?? tools[i]) as JsonObject,
                    "name",
                    i,
                    ProbePart.Tool,
                    spot,
                    probes);
        }
        return probes;
    }

    /// <summary>Removes the marks from a rendering.</summary>
    /// <param name="text">The rendering with marks.</param>
    /// <returns>The text without them, and their places, in order.</returns>
    internal static (string Text, List<(int Number, int At)> Found) Take(string text)
    {
        var bare = new StringBuilder(text.Length);
        var found = new List<(int, int)>();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != Mark || i + 1 == text.Length)
                bare.Append(text[i]);
            else
                found.Add((text[++i] - FirstNumber, bare.Length));
        }
        return (bare.ToString(), found);
    }

    // A thought before the answer, as models write it themselves, is a separate part: templates drop it and keep the answer.
    private static void Content(JsonObject message, int index, Spot spot, List<Probe> probes)
    {
        if (MessageText.Of(message) is not { } text)
            return;
        var end = message["role"]?.ToString() == "assistant" ? text.LastIndexOf(ThoughtEnd, StringComparison.Ordinal) : -1;
        (int From, int Until, ProbePart Part)[] parts = end < 0
            ? [(0, text.Length, ProbePart.Content)]
            : [(end + ThoughtEnd.Length, text.Length, ProbePart.Content), (ThoughtStart(text, end), end, ProbePart.Thought)];
        var marked = text;
        foreach (var (from, until, part) in parts)
        {
            // An empty answer is still an answer: the mark is its whole text. With a call, templates check whether there is an answer.
            var silent = text.Length == 0 && message["tool_calls"] is null;
            if ((Offset(text, from, until, spot) ?? (silent ? 0 : null)) is not { } offset || probes.Count >= MostProbes)
                continue;
            marked = marked.Insert(offset, Sign(probes.Count));
            probes.Add(new Probe(index, part, text, offset));
        }
        MessageText.Put(message, marked);
    }

    private static int ThoughtStart(string text, int end)
    {
        const string begin = "<think>";
        var at = text.IndexOf(begin, StringComparison.Ordinal);
        return at < 0 || at > end ? 0 : at + begin.Length;
    }

    private static void Into(
        JsonObject? owner,
        string key,
        int index,
        ProbePart part,
        Spot spot,
        List<Probe> probes)
    {
        if (owner is null || MessageText.Words(owner[key]) is not { } text || probes.Count >= MostProbes)
            return;
        if (Offset(text, 0, text.Length, spot) is not { } at)
            return;
        owner[key] = text.Insert(at, Sign(probes.Count));
        probes.Add(new Probe(index, part, text, at));
    }

    private static string Sign(int number) => $"{Mark}{(char)(FirstNumber + number)}";

    // Not between the halves of a character, and not between a guard and its number.
    private static int? Offset(string text, int from, int until, Spot spot)
    {
        while (from < until && char.IsWhiteSpace(text[from]))
            from++;
        while (until > from && char.IsWhiteSpace(text[until - 1]))
            until--;
        if (from == until)
            return null;
        var offset = spot switch
        {
            Spot.Middle => (from + until) / 2,
            Spot.Front => from + 1,
            _ => until - 1,
        };
        offset = Math.Max(offset, from + 1);
        while (offset < until && (char.IsLowSurrogate(text[offset]) || SpelledToken.Cuts(text, offset)))
            offset++;
        return offset;
    }
}
