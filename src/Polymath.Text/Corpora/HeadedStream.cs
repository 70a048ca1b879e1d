namespace Polymath.Text;

/// <summary>A stream whose first bytes were already read from it.</summary>
/// <param name="head">The first bytes.</param>
/// <param name="rest">The stream after them, which is closed with this.</param>
internal sealed class HeadedStream(ReadOnlyMemory<byte> head, Stream rest) : ForwardStream
{
    private ReadOnlyMemory<byte> left = head;
    private long given;

    /// <summary>The number of bytes that were read.</summary>
    public override long Position { get => given; set => throw new NotSupportedException(); }

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        var count = Math.Min(buffer.Length, left.Length);
        left.Span[..count].CopyTo(buffer);
        left = left[count..];
        if (count == 0)
            count = rest.Read(buffer);
        given += count;
        return count;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            rest.Dispose();
        base.Dispose(disposing);
    }
}
