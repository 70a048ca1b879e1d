namespace Polymath.Models.Decoding;

/// <summary>Compares lists of tokens by their content.</summary>
public sealed class EqualTokens : IEqualityComparer<int[]>
{
    /// <inheritdoc/>
    public bool Equals(int[]? x, int[]? y) => x.AsSpan().SequenceEqual(y);

    /// <inheritdoc/>
    public int GetHashCode(int[] obj)
    {
        ArgumentNullException.ThrowIfNull(obj);
        var hash = new HashCode();
        foreach (var token in obj) hash.Add(token);
        return hash.ToHashCode();
    }
}
