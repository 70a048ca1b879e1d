namespace Polymath.Text.Templates.Jinja;

/// <summary>Python's <c>split</c> and <c>rsplit</c>.</summary>
internal static class TextSplitting
{
    /// <summary>The pieces of a text.</summary>
    /// <param name="machine">Counts the work.</param>
    /// <param name="text">The text.</param>
    /// <param name="arguments">The separator (white space when left out) and the most cuts.</param>
    /// <param name="fromEnd">Whether cuts are made from the end.</param>
    public static ListValue Split(Machine machine, string text, object?[] arguments, bool fromEnd)
    {
        var most = Machine.Count(arguments[1], -1, "maxsplit");
        if (most < 0)
            most = int.MaxValue;
        var pieces = arguments[0] switch
        {
            null or None => fromEnd && most < int.MaxValue ? OnSpaceFromEnd(text, most) : OnSpace(text, most),
            string { Length: > 0 } by => fromEnd && most < int.MaxValue ? FromEnd(text, by, most) : FromStart(text, by, most),
            string => throw new JinjaFault("the separator is empty"),
            Undefined missing => throw missing.Fault(),
            var other => throw new JinjaFault($"a separator must be a text, found '{Types.NameOf(other)}'"),
        };
        machine.Meter.Work(pieces.Count);
        return new ListValue([.. pieces]);
    }

    private static List<string> FromStart(string text, string by, int most)
    {
        var pieces = new List<string>();
        var at = 0;
        while (pieces.Count < most && text.IndexOf(by, at, StringComparison.Ordinal) is >= 0 and var found)
        {
            pieces.Add(text[at..found]);
            at = found + by.Length;
        }
        pieces.Add(text[at..]);
        return pieces;
    }

    private static List<string> FromEnd(string text, string by, int most)
    {
        var pieces = new List<string>();
        var rest = text;
        while (pieces.Count < most && rest.LastIndexOf(by, StringComparison.Ordinal) is >= 0 and var found)
        {
            pieces.Add(rest[(found + by.Length)..]);
            rest = rest[..found];
        }
        pieces.Add(rest);
        pieces.Reverse();
        return pieces;
    }

    private static List<string> OnSpace(string text, int most)
    {
        var pieces = new List<string>();
        var at = 0;
        while (true)
        {
            while (at < text.Length && PythonText.IsSpace(text[at])) at++;
            if (at == text.Length)
                return pieces;
            if (pieces.Count == most)
            {
                pieces.Add(text[at..]);
                return pieces;
            }
            var start = at;
            while (at < text.Length && !PythonText.IsSpace(text[at])) at++;
            pieces.Add(text[start..at]);
        }
    }

    private static List<string> OnSpaceFromEnd(string text, int most)
    {
        var pieces = new List<string>();
        var at = text.Length;
        while (true)
        {
            while (at > 0 && PythonText.IsSpace(text[at - 1])) at--;
            if (at == 0)
                break;
            if (pieces.Count == most)
            {
                pieces.Add(text[..at]);
                break;
            }
            var end = at;
            while (at > 0 && !PythonText.IsSpace(text[at - 1])) at--;
            pieces.Add(text[at..end]);
        }
        pieces.Reverse();
        return pieces;
    }
}
