using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Unicode;

namespace Polymath.Runs.Reports;

/// <summary>Text and parts of an HTML page.</summary>
internal static class Html
{
    private static readonly HtmlEncoder Encoder = HtmlEncoder.Create(UnicodeRanges.All);

    /// <summary>Text with the special characters of HTML escaped; safe in attributes, too.</summary>
    public static string Text(string text) => Encoder.Encode(text);

    /// <summary>A self-contained page: no scripts, no other files, light or dark like the reader's system.</summary>
    /// <param name="kind">The kind of page, shown above the title.</param>
    /// <param name="title">The title, as text.</param>
    /// <param name="lead">The text below the title, as HTML.</param>
    /// <param name="main">The sections, as HTML.</param>
    /// <param name="refresh">After how many seconds a browser reads the page again; null for a page that does not change.</param>
    public static string Page(
        string kind,
        string title,
        string lead,
        string main,
        int? refresh = null) => $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        {(refresh is { } seconds ? $"<meta http-equiv=\"refresh\" content=\"{seconds}\">" : "")}
        <title>{Text(title)} · Polymath</title>
        <style>
        {ReportStyle.Sheet}
        </style>
        </head>
        <body>
        <header><p class="eyebrow">{kind}</p><h1>{Text(title)}</h1>{lead}</header>
        <main>
        {main}
        </main>
        </body>
        </html>

        """;

    /// <summary>A section with its heading; an empty text when the body is empty.</summary>
    /// <param name="title">The heading; empty for none.</param>
    /// <param name="body">The content, as HTML.</param>
    public static string Section(string title, string body)
    {
        if (body.Length == 0) return "";
        return $"<section>{(title.Length == 0 ? "" : $"<h2>{title}</h2>")}{body}</section>";
    }

    /// <summary>A coordinate in a drawing, with one decimal.</summary>
    public static string Place(double value) => Math.Round(value, 1).ToString(CultureInfo.InvariantCulture);

    /// <summary>
    /// The attribute that lets a browser choose Chinese letterforms for text with Chinese characters; nothing for other text.
    /// </summary>
    public static string Language(string text)
    {
        if (text.Any(c => c is >= '\u3040' and <= '\u30ff')) return " lang=\"ja\"";
        return text.Any(c => c is >= '\u4e00' and <= '\u9fff') ? " lang=\"zh\"" : "";
    }
}
