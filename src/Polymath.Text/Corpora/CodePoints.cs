namespace Polymath.Text;

/// <summary>Counts characters: one for each Unicode code point.</summary>
internal static class CodePoints
{
    /// <summary>The number of code points; half a surrogate pair counts as one.</summary>
    public static int Count(ReadOnlySpan<char> text)
    {
        var count = text.Length;
        for (var i = 0; i + 1 < text.Length; i++)
        {
            if (!char.IsSurrogatePair(text[i], text[i + 1]))
                continue;
            count--;
            i++;
        }

        return count;
    }
}
