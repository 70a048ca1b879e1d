using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Unicode;

namespace Polymath.Training.Reports;

/// <summary>Text as it may stand in a page.</summary>
internal static class Html
{
    private static readonly HtmlEncoder Encoder = HtmlEncoder.Create(UnicodeRanges.All);

    /// <summary>Text with every character escaped that means something in HTML, in attributes too.</summary>
    public static string Text(string text) => Encoder.Encode(text);

    /// <summary>A whole page that needs nothing else: no scripts, no other files, light or dark as the reader's system is.</summary>
    /// <param name="kind">What kind of page it is, above the title.</param>
    /// <param name="title">The title, as text.</param>
    /// <param name="lead">What stands below the title, as HTML.</param>
    /// <param name="main">The sections, as HTML.</param>
    public static string Page(string kind, string title, string lead, string main) => $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
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

    /// <summary>A section with its heading; nothing where it is empty.</summary>
    /// <param name="title">The heading; empty for none.</param>
    /// <param name="body">What it holds, as HTML.</param>
    public static string Section(string title, string body) =>
        body.Length == 0 ? "" : $"<section>{(title.Length == 0 ? "" : $"<h2>{title}</h2>")}{body}</section>";

    /// <summary>A place in a drawing, in tenths.</summary>
    public static string Place(double value) => Math.Round(value, 1).ToString(CultureInfo.InvariantCulture);

    /// <summary>
    /// The attribute that lets a browser choose Chinese letterforms for text with Chinese characters; nothing for other text.
    /// </summary>
    public static string Language(string text) =>
        text.Any(c => c is >= '\u3040' and <= '\u30ff')
            ? " lang=\"ja\""
            : text.Any(c => c is >= '\u4e00' and <= '\u9fff') ? " lang=\"zh\""
            : "";
}
