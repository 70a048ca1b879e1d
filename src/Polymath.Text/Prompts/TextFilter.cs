using System.Globalization;

namespace Polymath.Text.Prompts;

/// <summary>What is done to a field's text before it enters a prompt: some named steps, each of them data. Nothing is evaluated.</summary>
/// <param name="Steps">The steps, in order.</param>
public sealed record TextFilter(IReadOnlyList<FilterStep> Steps)
{
    /// <summary>The filter that changes nothing.</summary>
    public static TextFilter None { get; } = new([]);

    /// <summary>The text after all steps.</summary>
    /// <param name="text">The text.</param>
    public string Apply(string text) => Steps.Aggregate(text, (now, step) => step.Apply(now));
}

/// <summary>A step of a filter.</summary>
public abstract record FilterStep
{
    /// <summary>The changed text.</summary>
    /// <param name="text">The text.</param>
    public abstract string Apply(string text);
}

/// <summary>Removes characters at the ends.</summary>
/// <param name="Characters">The characters; null for white space.</param>
/// <param name="Start">Whether the start is looked at.</param>
/// <param name="End">Whether the end is looked at.</param>
public sealed record Strip(string? Characters, bool Start, bool End) : FilterStep
{
    /// <inheritdoc/>
    public override string Apply(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        bool Goes(char c) => Characters is null ? char.IsWhiteSpace(c) : Characters.Contains(c, StringComparison.Ordinal);
        int from = 0, to = text.Length;
        while (Start && from < to && Goes(text[from])) from++;
        while (End && to > from && Goes(text[to - 1])) to--;
        return text[from..to];
    }
}

/// <summary>Changes capitals: <c>lower</c>, <c>upper</c>, <c>title</c>, <c>capitalize</c>, <c>swapcase</c>.</summary>
/// <param name="Name">Which of them.</param>
public sealed record Letters(string Name) : FilterStep
{
    /// <summary>The names.</summary>
    public static IReadOnlyList<string> Names { get; } = ["lower", "upper", "title", "capitalize", "swapcase"];

    /// <inheritdoc/>
    public override string Apply(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Name switch
        {
            "lower" => Lower(text),
            "upper" => text.ToUpperInvariant(),
            "title" => Title(text),
            "capitalize" => text.Length == 0 ? text : char.ToUpperInvariant(text[0]) + Lower(text[1..]),
            _ => string.Concat(text.Select(c => char.IsUpper(c) ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c))),
        };
    }

    private static string Lower(string text) => CultureInfo.InvariantCulture.TextInfo.ToLower(text);

    private static string Title(string text) => string.Concat(text.Select((c, i) =>
        i > 0 && char.IsLetter(text[i - 1]) ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c)));
}

/// <summary>Keeps a part, counted in characters as in Python: a negative place counts from the end.</summary>
/// <param name="From">The first character; null for the start.</param>
/// <param name="To">The first one that is dropped again; null for the end.</param>
public sealed record Part(int? From, int? To) : FilterStep
{
    /// <inheritdoc/>
    public override string Apply(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var runes = text.EnumerateRunes().ToArray();
        int At(int place) => Math.Clamp(place < 0 ? runes.Length + place : place, 0, runes.Length);
        int from = At(From ?? 0), to = To is { } end ? At(end) : runes.Length;
        return from < to ? string.Concat(runes[from..to]) : "";
    }
}

/// <summary>Replaces one text by another.</summary>
/// <param name="Old">The text to find.</param>
/// <param name="New">What stands for it.</param>
public sealed record Replace(string Old, string New) : FilterStep
{
    /// <inheritdoc/>
    public override string Apply(string text) => text?.Replace(Old, New, StringComparison.Ordinal) ?? "";
}

/// <summary>Looks the whole text up in a table.</summary>
/// <param name="Table">The table.</param>
/// <param name="Otherwise">What an unknown text becomes; null for itself.</param>
public sealed record LookUp(IReadOnlyDictionary<string, string> Table, string? Otherwise) : FilterStep
{
    /// <inheritdoc/>
    public override string Apply(string text) => Table.TryGetValue(text, out var found) ? found : Otherwise ?? text;
}

/// <summary>Removes a text at one end, if it is there (<c>removeprefix</c>, <c>removesuffix</c>).</summary>
/// <param name="Text">The text.</param>
/// <param name="AtEnd">Whether it is looked for at the end.</param>
public sealed record RemoveEnd(string Text, bool AtEnd) : FilterStep
{
    /// <inheritdoc/>
    public override string Apply(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (Text.Length == 0) return text;
        if (AtEnd) return text.EndsWith(Text, StringComparison.Ordinal) ? text[..^Text.Length] : text;
        return text.StartsWith(Text, StringComparison.Ordinal) ? text[Text.Length..] : text;
    }
}

/// <summary>Puts text before and after.</summary>
/// <param name="Before">The text before.</param>
/// <param name="After">The text after.</param>
public sealed record Around(string Before, string After) : FilterStep
{
    /// <inheritdoc/>
    public override string Apply(string text) => Before + text + After;
}

/// <summary>Keeps the text up to the end of its first sentence: a stop before white space or the end, or a Chinese stop.</summary>
public sealed record FirstSentence : FilterStep
{
    /// <inheritdoc/>
    public override string Apply(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        for (var i = 0; i < text.Length; i++)
            if (text[i] is '。' or '！' or '？'
                || (text[i] is '.' or '!' or '?' && (i + 1 == text.Length || char.IsWhiteSpace(text[i + 1]))))
                return text[..(i + 1)];
        return text;
    }
}
