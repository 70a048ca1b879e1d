namespace Polymath.Training.Evaluation;

/// <summary>
/// A multinomial naive Bayes classifier over character n-grams (McCallum &amp; Nigam 1998), trained in one pass by counting. A trained
/// classifier should beat it. ln p(label | text) = ln p(label) + sum over the text's grams of ln((count(gram, label) + alpha) /
/// (grams(label) + alpha * different grams)). Grams not seen in training are ignored.
/// </summary>
public sealed class NaiveBayes
{
    private readonly int longest;
    private readonly double alpha;
    private readonly string[] labels;
    private readonly double[] priors, totals;
    private readonly Dictionary<string, double[]> counts = new(StringComparer.Ordinal);

    private NaiveBayes(List<(string Text, string Label)> rows, int longest, double alpha)
    {
        (this.longest, this.alpha) = (longest, alpha);
        labels = [.. rows.Select(row => row.Label).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        (priors, totals) = (new double[labels.Length], new double[labels.Length]);
        foreach (var (text, label) in rows) Count(text, Array.BinarySearch(labels, label, StringComparer.Ordinal));
        for (var i = 0; i < labels.Length; i++) priors[i] = Math.Log(priors[i] / rows.Count);
    }

    /// <summary>The labels seen in training, in ordinal order.</summary>
    public IReadOnlyList<string> Labels => labels;

    /// <summary>Counts the n-grams of each label.</summary>
    /// <param name="rows">The training texts with their labels, at least one.</param>
    /// <param name="n">The length of the longest n-grams, in code points; all lengths from 1 are used.</param>
    /// <param name="alpha">The number added to each count, above 0.</param>
    public static NaiveBayes Train(IEnumerable<(string Text, string Label)> rows, int n, double alpha = 1)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(alpha);
        var list = rows.ToList();
        return list.Count > 0
            ? new NaiveBayes(list, n, alpha)
            : throw new ArgumentException("There is no text to learn from.", nameof(rows));
    }

    /// <summary>The most likely label of a text; of equally likely ones, the first in ordinal order.</summary>
    /// <param name="text">The text.</param>
    public string Predict(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var scores = (double[])priors.Clone();
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        for (var n = 1; n <= longest; n++)
        {
            foreach (var gram in CharacterGrams.Of(text, n))
            {
                if (!lookup.TryGetValue(text.AsSpan(gram), out var count)) continue;
                for (var i = 0; i < scores.Length; i++) scores[i] += Math.Log((count[i] + alpha) / (totals[i] + alpha * counts.Count));
            }
        }
        return labels[Array.IndexOf(scores, scores.Max())];
    }

    /// <summary>The share of rows whose label is predicted correctly.</summary>
    /// <param name="rows">Texts with their labels.</param>
    /// <returns>A share from 0 to 1; NaN when there are no rows.</returns>
    public double Accuracy(IEnumerable<(string Text, string Label)> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return rows.Select(row => Predict(row.Text) == row.Label ? 1.0 : 0.0).DefaultIfEmpty(double.NaN).Average();
    }

    private void Count(string text, int label)
    {
        priors[label]++;
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        for (var n = 1; n <= longest; n++)
        {
            foreach (var gram in CharacterGrams.Of(text, n))
            {
                if (!lookup.TryGetValue(text.AsSpan(gram), out var count)) lookup[text.AsSpan(gram)] = count = new double[labels.Length];
                count[label]++;
                totals[label]++;
            }
        }
    }
}
