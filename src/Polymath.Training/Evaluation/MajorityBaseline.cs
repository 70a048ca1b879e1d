namespace Polymath.Training.Evaluation;

/// <summary>The accuracy of always predicting the most frequent label. A classifier must beat it.</summary>
public static class MajorityBaseline
{
    /// <summary>The most frequent label; of labels that are equally frequent, the first in ordinal order.</summary>
    /// <param name="labels">The labels, at least one.</param>
    public static string Label(IEnumerable<string> labels) =>
        labels.CountBy(label => label, StringComparer.Ordinal)
            .OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => pair.Key).FirstOrDefault() ?? throw new ArgumentException("There is no label to choose from.", nameof(labels));

    /// <summary>The share of held-out labels that equal the most frequent training label.</summary>
    /// <param name="train">The training labels, at least one.</param>
    /// <param name="held">The held-out labels.</param>
    /// <returns>A share from 0 to 1; NaN when there are no held-out labels.</returns>
    public static double Accuracy(IEnumerable<string> train, IEnumerable<string> held)
    {
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(held);
        var majority = Label(train);
        return held.Select(label => label == majority ? 1.0 : 0.0).DefaultIfEmpty(double.NaN).Average();
    }
}
