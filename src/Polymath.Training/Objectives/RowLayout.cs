using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// How the tokens of rows lie in a flat tensor: row after row, without padding. A row may have no token. <see cref="Owners"/> belongs to
/// the dispose scope in which the layout was made.
/// </summary>
public sealed class RowLayout
{
    /// <summary>A layout of rows.</summary>
    /// <param name="lengths">The tokens of each row.</param>
    /// <param name="device">Where the values lie; null for the CPU.</param>
    public RowLayout(IReadOnlyList<int> lengths, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(lengths);
        Lengths = lengths;
        Tokens = lengths.Sum();
        Owners = tensor(lengths.SelectMany((length, row) => Enumerable.Repeat((long)row, length)).ToArray(), device: device);
    }

    /// <summary>The layout of a batch's targets.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="device">Where the values lie; null for the CPU.</param>
    public static RowLayout Of(Batch batch, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var lengths = new int[batch.GivenRows];
        foreach (var row in batch.TargetRows) lengths[row]++;
        return new RowLayout(lengths, device);
    }

    /// <summary>The tokens of each row.</summary>
    public IReadOnlyList<int> Lengths { get; }

    /// <summary>The number of rows.</summary>
    public int Rows => Lengths.Count;

    /// <summary>The number of tokens.</summary>
    public int Tokens { get; }

    /// <summary>The row of each token [tokens], 64-bit.</summary>
    public Tensor Owners { get; }

    /// <summary>The sum of each row [rows]; 0 for a row without tokens.</summary>
    /// <param name="each">A value for each token [tokens].</param>
    public Tensor Sums(Tensor each)
    {
        ArgumentNullException.ThrowIfNull(each);
        return zeros(Rows, dtype: each.dtype, device: each.device).index_add(0, Owners, each, 1);
    }

    /// <summary>The mean of each row [rows]; 0 for a row without tokens.</summary>
    /// <param name="each">A value for each token [tokens].</param>
    public Tensor Means(Tensor each)
    {
        ArgumentNullException.ThrowIfNull(each);
        return Sums(each) / Counts(each).clamp(min: 1);
    }

    /// <summary>Each row's value for each of its tokens [tokens].</summary>
    /// <param name="rows">A value for each row [rows].</param>
    public Tensor Spread(Tensor rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return rows.index_select(0, Owners);
    }

    /// <summary>The lengths as a tensor [rows] in the type of some values.</summary>
    /// <param name="like">The values.</param>
    public Tensor Counts(Tensor like)
    {
        ArgumentNullException.ThrowIfNull(like);
        return tensor(Lengths.Select(length => (double)length).ToArray(), dtype: like.dtype, device: like.device);
    }
}
