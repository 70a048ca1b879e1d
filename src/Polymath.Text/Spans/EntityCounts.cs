namespace Polymath.Text.Spans;

/// <summary>
/// How well entities are found: those whose words and kind are both right, as CoNLL-2003 counts them (Tjong Kim Sang &amp; De Meulder
/// 2003).
/// </summary>
/// <param name="Right">Entities that were found as they are.</param>
/// <param name="Found">Entities that were found.</param>
/// <param name="There">Entities that are there.</param>
public readonly record struct EntityCounts(int Right, int Found, int There)
{
    /// <summary>The counts of one sentence.</summary>
    /// <param name="found">What was found.</param>
    /// <param name="there">What is there.</param>
    public static EntityCounts Of(IReadOnlyCollection<TaggedSpan> found, IReadOnlyCollection<TaggedSpan> there)
    {
        ArgumentNullException.ThrowIfNull(found);
        ArgumentNullException.ThrowIfNull(there);
        return new(found.Distinct().Count(there.Contains), found.Count, there.Count);
    }

    /// <summary>The counts of this and further sentences.</summary>
    /// <param name="more">The others.</param>
    public EntityCounts And(EntityCounts more) => new(Right + more.Right, Found + more.Found, There + more.There);

    /// <summary>The share of those found that are right; 0 where none is found.</summary>
    public double Precision => Found == 0 ? 0 : (double)Right / Found;

    /// <summary>The share of those that are there that are found; 0 where none is there.</summary>
    public double Recall => There == 0 ? 0 : (double)Right / There;

    /// <summary>2PR/(P + R) = 2·right/(found + there); 0 where nothing is found and nothing is there.</summary>
    public double F1 => Found + There == 0 ? 0 : 2.0 * Right / (Found + There);
}
