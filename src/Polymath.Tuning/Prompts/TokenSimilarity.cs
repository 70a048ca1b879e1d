namespace Polymath.Tuning.Prompts;

/// <summary>
/// How like texts are to a question by their tokens: BM25 (Robertson &amp; Zaragoza 2009), Σ over the question's tokens of
/// idf · f·(k + 1) / (f + k·(1 − b + b·length/mean)), with k = 1.5, b = 0.75 and idf = ln(1 + (N − n + 0.5)/(n + 0.5)).
/// </summary>
/// <param name="texts">The texts' tokens.</param>
public sealed class TokenSimilarity(IReadOnlyList<int[]> texts)
{
    private const double K = 1.5, B = 0.75;

    private readonly IReadOnlyList<Dictionary<int, int>> counts =
        [.. texts.Select(text => text.CountBy(token => token).ToDictionary())];

    private readonly Dictionary<int, int> holders = texts.SelectMany(text => text.Distinct()).CountBy(token => token).ToDictionary();

    private readonly double mean = texts.Count == 0 ? 1 : Math.Max(1e-9, texts.Average(text => text.Length));

    /// <summary>The likeness of each text.</summary>
    /// <param name="question">The question's tokens.</param>
    public IReadOnlyList<double> To(IReadOnlyList<int> question)
    {
        int[] asked = [.. question.Distinct().Where(holders.ContainsKey)];
        return [.. texts.Select((text, i) => asked.Sum(token =>
        {
            var found = counts[i].GetValueOrDefault(token);
            var rarity = Math.Log(1 + ((texts.Count - holders[token] + 0.5) / (holders[token] + 0.5)));
            return rarity * found * (K + 1) / (found + (K * (1 - B + (B * text.Length / mean))));
        }))];
    }
}
