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

    /// <summary>A place in a drawing, in tenths.</summary>
    public static string Place(double value) => Math.Round(value, 1).ToString(CultureInfo.InvariantCulture);

    /// <summary>The attribute that lets a browser choose Chinese letterforms for text with Chinese characters; nothing for other text.</summary>
    public static string Language(string text) =>
        text.Any(c => c is >= '\u3040' and <= '\u30ff') ? " lang=\"ja\"" : text.Any(c => c is >= '\u4e00' and <= '\u9fff') ? " lang=\"zh\"" : "";
}
