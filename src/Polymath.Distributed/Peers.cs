using static TorchSharp.torch;

namespace Polymath.Distributed;

/// <summary>
/// The processes that train one model together. One process and many use the same code: all sums over processes are computed here.
/// </summary>
public abstract class Peers : IDisposable
{
    /// <summary>This process's number, from 0.</summary>
    public abstract int Rank { get; }

    /// <summary>The number of processes.</summary>
    public abstract int Count { get; }

    /// <summary>Sums tensors over all processes, in place.</summary>
    /// <param name="tensors">The tensors, in the same order everywhere.</param>
    public abstract void Sum(IReadOnlyList<Tensor> tensors);

    /// <summary>Sums numbers over all processes, in place.</summary>
    /// <param name="numbers">The numbers.</param>
    public abstract void Sum(Span<double> numbers);

    /// <summary>Frees the connection of the processes.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the connection of the processes.</summary>
    /// <param name="disposing">Always true: there is no finalizer.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}

/// <summary>A single process: sums do not change.</summary>
public sealed class Solo : Peers
{
    /// <inheritdoc/>
    public override int Rank => 0;

    /// <inheritdoc/>
    public override int Count => 1;

    /// <inheritdoc/>
    public override void Sum(IReadOnlyList<Tensor> tensors)
    {
    }

    /// <inheritdoc/>
    public override void Sum(Span<double> numbers)
    {
    }
}
