using SharpCompress.Compressors.Xz;

namespace Polymath.Text;

/// <summary>The content of an xz file of one or several streams, as <c>cat a.xz b.xz</c> makes them.</summary>
/// <param name="file">The file, which is closed with this.</param>
internal sealed class XzMembers(Stream file) : ForwardStream
{
    // Zeros between streams come four at a time.
    private const int Padding = 4;

    private XZStream? member;

    /// <summary>The first bytes of a stream.</summary>
    internal static ReadOnlySpan<byte> Magic => [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00];

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        while (!buffer.IsEmpty && (member is not null || Next()))
        {
            if (member!.Read(buffer) is > 0 and var count)
                return count;
            member = null;
        }
        return 0;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            file.Dispose();
        base.Dispose(disposing);
    }

    private bool Next()
    {
        var head = new byte[Magic.Length];
        int count;
        do
            count = file.ReadAtLeast(head.AsSpan(0, Padding), Padding, throwOnEndOfStream: false);
        while (count == Padding && head.AsSpan(0, Padding).IndexOfAnyExcept((byte)0) < 0);
        if (count == 0)
            return false;
        count += file.ReadAtLeast(head.AsSpan(count), head.Length - count, throwOnEndOfStream: false);
        if (!head.AsSpan(0, count).SequenceEqual(Magic))
            throw new InvalidDataException("other bytes follow its end.");
        member = new XZStream(new HeadedStream(head, file));
        return true;
    }
}
