using System.Text;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Python's <c>expandtabs</c>: a tab reaches to the next column that is a multiple of the size.</summary>
internal static class TabText
{
    /// <summary>A text with spaces instead of its tabs.</summary>
    /// <param name="text">The text.</param>
    /// <param name="size">The columns between two stops; 0 removes tabs.</param>
    public static string Expand(string text, int size)
    {
        var result = new StringBuilder();
        var column = 0;
        foreach (var letter in text.EnumerateRunes())
        {
            if (letter.Value == '\t')
            {
                var width = size == 0 ? 0 : size - column % size;
                result.Append(' ', width);
                column += width;
                continue;
            }
            result.Append(letter);
            column = letter.Value is '\n' or '\r' ? 0 : column + 1;
        }
        return result.ToString();
    }
}
