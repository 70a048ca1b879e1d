namespace Polymath.Text;

/// <summary>Reports how many bytes of a file were read, before decompression.</summary>
/// <param name="inner">The file, which is closed with this.</param>
/// <param name="progress">Receives each number of bytes.</param>
internal sealed class CountedStream(Stream inner, Action<long> progress) : ForwardStream
{
    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        var count = inner.Read(buffer);
        progress(count);
        return count;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            inner.Dispose();
        base.Dispose(disposing);
    }
}
