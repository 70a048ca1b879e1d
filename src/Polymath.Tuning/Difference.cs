using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>The difference between two tensors of one name, or two changes of one weight, by the Frobenius norm.</summary>
/// <param name="Name">The name.</param>
/// <param name="First">The norm of the first.</param>
/// <param name="Second">The norm of the second.</param>
/// <param name="Apart">The norm of the first minus the second.</param>
/// <param name="Product">The sum of the products of their elements.</param>
public sealed record Difference(
    string Name,
    double First,
    double Second,
    double Apart,
    double Product)
{
    // The number of values converted to double precision at once.
    private const long Piece = 1 << 20;

    /// <summary>The cosine between them; NaN when one is zero.</summary>
    public double Cosine => Product / (First * Second);

    /// <summary>Compares two tensors of one shape; null stands for zeros.</summary>
    /// <param name="name">The name.</param>
    /// <param name="first">The first.</param>
    /// <param name="second">The second.</param>
    public static Difference Of(string name, Tensor? first, Tensor? second)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        Tensor? one = first?.detach().reshape(-1), two = second?.detach().reshape(-1);
        double firsts = 0, seconds = 0, aparts = 0, product = 0;
        var count = (one ?? two)?.numel() ?? 0;
        for (long from = 0; from < count; from += Piece)
        {
            using var inner = NewDisposeScope();
            var size = Math.Min(Piece, count - from);
            Tensor Part(Tensor? whole) => whole?.narrow(0, from, size).to(ScalarType.Float64) ?? zeros(size, ScalarType.Float64);
            Tensor a = Part(one), b = Part(two);
            firsts += a.square().sum().item<double>();
            seconds += b.square().sum().item<double>();
            aparts += (a - b).square().sum().item<double>();
            product += (a * b).sum().item<double>();
        }
        return new Difference(
            name,
            Math.Sqrt(firsts),
            Math.Sqrt(seconds),
            Math.Sqrt(aparts),
            product);
    }

    /// <summary>The comparison of all parts as one long vector.</summary>
    /// <param name="parts">The parts.</param>
    public static Difference Total(IReadOnlyList<Difference> parts)
    {
        double Whole(Func<Difference, double> norm) => Math.Sqrt(parts.Sum(part => norm(part) * norm(part)));
        return new Difference(
            "total",
            Whole(part => part.First),
            Whole(part => part.Second),
            Whole(part => part.Apart),
            parts.Sum(part => part.Product));
    }
}
