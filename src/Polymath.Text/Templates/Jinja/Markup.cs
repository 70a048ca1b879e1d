namespace Polymath.Text.Templates.Jinja;

/// <summary>
/// A text that is marked as safe for HTML by <c>safe</c> or <c>escape</c> (markupsafe's Markup). Text that is added to it is escaped, even
/// when the template itself does not escape.
/// </summary>
/// <param name="text">The text.</param>
internal sealed class Markup(string text)
{
    // Filters that return the same kind of text.
    private static readonly string[] Keeping = ["string", "trim", "upper", "lower", "capitalize", "title", "center", "indent"];

    // Filters that make such a text of any value.
    private static readonly string[] Making = ["safe", "e", "escape", "forceescape"];

    /// <summary>The text.</summary>
    public string Text => text;

    /// <summary>A value without its mark.</summary>
    /// <param name="value">The value.</param>
    public static object Bare(object value) => value is Markup marked ? marked.Text : value;

    /// <summary>Whether a filter's result is marked.</summary>
    /// <param name="name">The filter.</param>
    /// <param name="value">Its input.</param>
    public static bool Marks(string name, object value) => Making.Contains(name) || (value is Markup && Keeping.Contains(name));

    /// <summary>Whether a filter does not change a value: a marked text is not escaped again.</summary>
    /// <param name="name">The filter.</param>
    /// <param name="value">Its input.</param>
    public static bool Stays(string name, object value) => value is Markup && name is "e" or "escape" or "default" or "d";

    /// <summary>Adds two values of which one is marked.</summary>
    /// <param name="machine">Counts the work.</param>
    /// <param name="left">The left one.</param>
    /// <param name="right">The right one.</param>
    /// <returns>The result; null when the other one is not a text.</returns>
    public static Markup? Sum(Machine machine, object left, object right)
    {
        if (left is not (string or Markup) || right is not (string or Markup))
            return null;
        return new Markup(machine.Meter.Made(Escaped(machine, left) + Escaped(machine, right)));
    }

    private static string Escaped(Machine machine, object value) =>
        value is Markup marked ? marked.Text : TextFilters.Escape(machine, value);
}
