namespace Polymath.Text;

/// <summary>Two neighbouring tokens, in the order of their ids.</summary>
/// <param name="Left">The left one's id.</param>
/// <param name="Right">The right one's id.</param>
internal readonly record struct TokenPair(int Left, int Right) : IComparable<TokenPair>
{
    /// <inheritdoc/>
    public int CompareTo(TokenPair other) => Left != other.Left ? Left.CompareTo(other.Left) : Right.CompareTo(other.Right);

    /// <summary>
    /// Spreads small ids over all bits. A long with both ids would hash to their exclusive or, which has only as many values as there are
    /// ids, for all pairs.
    /// </summary>
    public override int GetHashCode() => (int)((((ulong)(uint)Left << 32 | (uint)Right) * 0x9E3779B97F4A7C15UL) >> 32) ^ Right;
}
