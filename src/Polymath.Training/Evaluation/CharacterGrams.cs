using System.Text;

namespace Polymath.Training.Evaluation;

/// <summary>N-grams of code points. A character outside the basic plane counts as one.</summary>
internal static class CharacterGrams
{
    /// <summary>The place of each run of <paramref name="n"/> code points in the text, from left to right.</summary>
    /// <param name="text">The text; half a surrogate pair counts as one code point.</param>
    /// <param name="n">The length of a run, at least 1.</param>
    public static IEnumerable<Range> Of(string text, int n)
    {
        var edges = Edges(text);
        for (var i = 0; i + n < edges.Count; i++)
            yield return edges[i]..edges[i + n];
    }

    private static List<int> Edges(string text)
    {
        var edges = new List<int>(text.Length + 1) { 0 };
        for (var at = 0; at < text.Length;)
        {
            Rune.DecodeFromUtf16(text.AsSpan(at), out _, out var consumed);
            edges.Add(at += consumed);
        }
        return edges;
    }
}
