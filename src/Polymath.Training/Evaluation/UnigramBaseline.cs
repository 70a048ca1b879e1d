namespace Polymath.Training.Evaluation;

/// <summary>The perplexity of a model that knows only the frequency of each token. A language model must beat it.</summary>
public static class UnigramBaseline
{
    /// <summary>
    /// exp of the mean of -ln p over the held-out targets, with add-one smoothing: p(t) = (count(t) + 1) / (tokens + vocabulary).
    /// </summary>
    /// <param name="train">The target tokens of each training row.</param>
    /// <param name="held">The target tokens of each held-out row.</param>
    /// <param name="vocabularySize">The number of token ids; every id is below it.</param>
    /// <returns>The perplexity, at least 1; NaN when there are no held-out targets.</returns>
    public static double Perplexity(IEnumerable<int[]> train, IEnumerable<int[]> held, int vocabularySize)
    {
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(held);
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabularySize, 1);
        var counts = new long[vocabularySize];
        long tokens = 0;
        foreach (var row in train)
        {
            foreach (var token in row) counts[token]++;
            tokens += row.Length;
        }
        double sum = 0, denominator = tokens + (double)vocabularySize;
        long targets = 0;
        foreach (var row in held)
        {
            foreach (var token in row) sum -= Math.Log((counts[token] + 1) / denominator);
            targets += row.Length;
        }
        return Math.Exp(sum / targets);
    }
}
