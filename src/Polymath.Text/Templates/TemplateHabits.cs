using System.Text.Json.Nodes;

namespace Polymath.Text.Templates;

/// <summary>What a template does in every conversation, found by rendering a few samples.</summary>
/// <param name="Opening">The text that it puts after a conversation to ask for an answer; empty for none.</param>
/// <param name="Ends">The tokens that it puts after answers.</param>
/// <param name="Marks">Finds special tokens.</param>
/// <param name="Leads">Whether white space stands before an answer that the words which ask for it do not have.</param>
internal sealed record TemplateHabits(string Opening, AnswerEnds Ends, TemplateMarks Marks, bool Leads)
{
    private const string Question = "Is it?", Sample = "Quite so";

    /// <summary>A sample tool for templates.</summary>
    internal static JsonArray Tools() => JsonNode.Parse("""
        [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {
          "type": "object", "properties": {"at": {"type": "string", "description": "What."}}, "required": ["at"]}}}]
        """)!.AsArray();

    /// <summary>Determines a template's habits.</summary>
    /// <param name="lay">Renders messages, asking for an answer or not; returns null when the template refuses them.</param>
    /// <param name="specials">The special tokens.</param>
    internal static TemplateHabits Of(Func<JsonArray, bool, string?> lay, IReadOnlyCollection<string> specials)
    {
        static JsonObject User() => Dialogue.Message("user", Question);
        static JsonObject Answer() => Dialogue.Message("assistant", Sample);
        var marks = new TemplateMarks(specials);
        var opening = Added(lay([User()], false), lay([User()], true), marks);
        var answered = lay([User(), Answer()], false);
        var last = Behind(answered, marks);
        var next = Behind(lay([User(), Answer(), User()], false), marks);
        var asked = lay([User()], true);
        var goesOn = asked is not null && answered is not null && answered.Length > asked.Length
            && answered.StartsWith(asked, StringComparison.Ordinal);
        var leads = goesOn && char.IsWhiteSpace(answered!, asked!.Length);
        return new TemplateHabits(opening, new AnswerEnds(last, next), marks, leads);
    }

    // Both may continue with special tokens that begin with the same characters; such a token is not cut in two.
    private static string Added(string? closed, string? open, TemplateMarks marks)
    {
        if (closed is null || open is null)
            return "";
        var common = open.AsSpan().CommonPrefixLength(closed);
        foreach (var (start, end) in marks.All(open, 0, open.Length))
        {
            if (start < common && common < end)
                common = start;
        }
        return open[common..];
    }

    // The special token after the sample; null when there is other text.
    private static string? Behind(string? text, TemplateMarks marks)
    {
        var at = text?.IndexOf(Sample, StringComparison.Ordinal) ?? -1;
        if (at < 0)
            return null;
        var from = at + Sample.Length;
        return marks.First(text!, from, text!.Length) is { } mark && string.IsNullOrWhiteSpace(text[from..mark.Start])
            ? text[mark.Start..mark.End]
            : null;
    }
}
