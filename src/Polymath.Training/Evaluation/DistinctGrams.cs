namespace Polymath.Training.Evaluation;

/// <summary>
/// How varied answers are: distinct-n (Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models").
/// </summary>
public static class DistinctGrams
{
    /// <summary>
    /// The number of different n-grams of code points, divided by the number of all. N-grams do not cross from one answer to the next;
    /// punctuation counts.
    /// </summary>
    /// <param name="answers">The answers.</param>
    /// <param name="n">The length of an n-gram, at least 1.</param>
    /// <returns>A share from 0 to 1; 0 when no answer is long enough.</returns>
    public static double Share(IEnumerable<string> answers, int n)
    {
        ArgumentNullException.ThrowIfNull(answers);
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var distinct = new HashSet<string>(StringComparer.Ordinal);
        var lookup = distinct.GetAlternateLookup<ReadOnlySpan<char>>();
        long all = 0;
        foreach (var answer in answers)
        {
            foreach (var gram in CharacterGrams.Of(answer, n))
            {
                lookup.Add(answer.AsSpan(gram));
                all++;
            }
        }
        return all == 0 ? 0 : (double)distinct.Count / all;
    }
}
