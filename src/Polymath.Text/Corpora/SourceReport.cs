using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>
/// Counts what is not learned of a source's rows: unused columns and keys, answers that a template changes, rows that are left out. All
/// readers use the same counts, so a preview, a check and a run report the same.
/// </summary>
public sealed class SourceReport
{
    private readonly Dictionary<string, (int Rows, string? First)> counts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> last = new(StringComparer.Ordinal);
    private readonly List<string> order = [];

    /// <summary>Whether there is nothing to report.</summary>
    public bool IsEmpty => order.Count == 0;

    /// <summary>The reports, one sentence each, in the order of their first occurrence.</summary>
    public IReadOnlyList<string> Lines => [.. order.Select(what => Line(what, counts[what]))];

    /// <summary>The number of rows of each report.</summary>
    public IReadOnlyDictionary<string, int> Counts => order.ToDictionary(what => what, what => counts[what].Rows, StringComparer.Ordinal);

    /// <summary>Counts a row, once for each report: several messages of a row may give the same one.</summary>
    /// <param name="what">What happened to it, as a clause such as <c>column 'url' is not used</c>.</param>
    /// <param name="place">Where it stands; null when it is unknown.</param>
    public void Count(string what, string? place = null)
    {
        if (place is not null && last.TryGetValue(what, out var before) && before == place)
            return;
        if (place is not null)
            last[what] = place;
        Count(what, 1, place);
    }

    /// <summary>Counts several rows at once.</summary>
    /// <param name="what">What happened to them.</param>
    /// <param name="rows">Their number; 0 for what is not about rows, which is reported without a number.</param>
    /// <param name="first">Where the first one stands; null when it is unknown.</param>
    public void Count(string what, int rows, string? first)
    {
        if (!counts.TryGetValue(what, out var known))
            order.Add(what);
        counts[what] = (known.Rows + rows, known.First ?? first);
    }

    /// <summary>Counts the parts of a row that a template changes or leaves out.</summary>
    /// <param name="rendering">The template's rendering of the row.</param>
    public void Count(Rendering rendering)
    {
        ArgumentNullException.ThrowIfNull(rendering);
        foreach (var (kind, name) in rendering.Remarks.Select(remark => (remark.Kind, remark.Name)).Distinct())
        {
            Count(kind switch
            {
                LayoutRemarkKind.AnswerChanged => "an answer is changed by the template; it is learned as it is printed",
                LayoutRemarkKind.AnswerLeftOut => "an answer is left out by the template, and not learned",
                LayoutRemarkKind.ToolsLeftOut => "the tools that may be called are not printed by the template",
                LayoutRemarkKind.AnswerOnlyRead =>
                    "an earlier answer is read, and not learned: the template learns the last answer of a conversation",
                LayoutRemarkKind.ThoughtLeftOut => "a thought before an answer is left out by the template",
                _ => $"key '{name}' of messages is not printed by the template",
            }, rendering.Key);
        }
    }

    /// <summary>Adds another report's counts.</summary>
    /// <param name="other">The other report.</param>
    public void Add(SourceReport other)
    {
        ArgumentNullException.ThrowIfNull(other);
        foreach (var what in other.order)
            Count(what, other.counts[what].Rows, other.counts[what].First);
    }

    private static string Line(string what, (int Rows, string? First) count)
    {
        if (count.Rows == 0)
            return what;
        var first = count.First is null ? "" : $", first {count.First}";
        return $"{what} ({count.Rows:N0} {(count.Rows == 1 ? "row" : "rows")}{first})";
    }
}
