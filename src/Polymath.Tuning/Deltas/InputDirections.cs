using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// The principal directions of rows that arrive in pieces (incremental principal components, Ross et al. 2008). The rows so far are stored
/// as their leading directions, times the singular values, and their mean. The result is exact while only one piece was seen.
/// </summary>
/// <param name="most">The number of directions that are kept.</param>
internal sealed class InputDirections(int most) : IDisposable
{
    private const int Piece = 512;

    private readonly List<Tensor> waiting = [];
    private Tensor? held, mean;
    private double count, scatter;

    /// <summary>The number of rows so far.</summary>
    internal long Rows { get; private set; }

    /// <summary>Adds rows [n, in].</summary>
    internal void Add(Tensor rows)
    {
        Rows += rows.size(0);
        waiting.Add(rows.detach().to(ScalarType.Float64, copy: true).DetachFromDisposeScope());
        if (waiting.Sum(part => part.size(0)) >= Piece + 2 * most) Fold();
    }

    private void Fold()
    {
        if (waiting.Count == 0) return;
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var rows = cat(waiting, 0);
        waiting.ForEach(part => part.Dispose());
        waiting.Clear();
        double fresh = rows.size(0), total = count + fresh;
        var middle = rows.mean([0]);
        var spread = rows - middle;
        if (held is not null)
        {
            // The gap between the old mean and the new one is a direction, too.
            var gap = (mean! - middle).unsqueeze(0) * Math.Sqrt(count * fresh / total);
            spread = cat([held, spread, gap], 0);
            middle = (mean! * count + middle * fresh) / total;
            scatter += spread.narrow(0, held.size(0), spread.size(0) - held.size(0)).square().sum().item<double>();
        }
        else scatter = spread.square().sum().item<double>();
        var (_, s, v) = linalg.svd(spread, fullMatrices: false);
        var keep = Math.Min(most, s.size(0));
        var leading = v.narrow(0, 0, keep) * s.narrow(0, 0, keep).unsqueeze(1);
        held?.Dispose();
        mean?.Dispose();
        (held, mean, count) = (leading.DetachFromDisposeScope(), middle.DetachFromDisposeScope(), total);
    }

    /// <summary>
    /// The leading directions [k, in], each of length one and positive where it is largest; their singular values; and the share of all
    /// variance that each explains.
    /// </summary>
    internal (Tensor Directions, Tensor Values, double[] Shares) Leading(int number)
    {
        Fold();
        using var frozen = no_grad();
        var leading = held!.narrow(0, 0, Math.Min(number, held.size(0)));
        var values = leading.norm(1);
        var directions = leading / values.clamp(1e-30).unsqueeze(1);
        directions = directions * directions.gather(1, directions.abs().argmax(1, keepdim: true)).sign();
        return (directions, values, [.. (values.square() / Math.Max(scatter, 1e-300)).data<double>()]);
    }

    public void Dispose()
    {
        waiting.ForEach(part => part.Dispose());
        held?.Dispose();
        mean?.Dispose();
    }
}
