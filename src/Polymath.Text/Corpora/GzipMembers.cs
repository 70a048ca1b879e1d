using System.IO.Compression;

namespace Polymath.Text;

/// <summary>
/// The content of a gzip file of one or several members, as <c>cat a.gz b.gz</c> makes them. <see cref="GZipStream"/> takes a file that is
/// cut off for one that ends; here it is a fault.
/// </summary>
/// <remarks>
/// A last member with a mark as its content is put after the file. When the mark does not come out at the end, the member before it was
/// not whole.
/// </remarks>
internal sealed class GzipMembers : ForwardStream
{
    private static readonly byte[] mark = "\u0003the end of the packed file\u0004"u8.ToArray();
    private static readonly byte[] lastMember = Packed(mark);

    private readonly GZipStream unpacked;
    private readonly byte[] buffer = new byte[(1 << 16) + mark.Length];
    private int start, end;
    private bool ended;

    /// <summary>Opens the content.</summary>
    /// <param name="file">The file, which is closed with this.</param>
    public GzipMembers(Stream file) => unpacked = new GZipStream(new MarkedEnd(file), CompressionMode.Decompress);

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        // As many bytes as the mark has are held back, because they may be the mark.
        while (!ended && end - start <= mark.Length)
            Fill();
        var count = Math.Min(buffer.Length, ended ? end - start : end - start - mark.Length);
        this.buffer.AsSpan(start, count).CopyTo(buffer);
        start += count;
        return count;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            unpacked.Dispose();
        base.Dispose(disposing);
    }

    private void Fill()
    {
        buffer.AsSpan(start, end - start).CopyTo(buffer);
        (start, end) = (0, end - start);
        var count = unpacked.Read(buffer, end, buffer.Length - end);
        end += count;
        if (count > 0)
            return;
        if (!buffer.AsSpan(0, end).SequenceEqual(mark))
            throw new InvalidDataException("it is cut off, or other bytes follow its end.");
        (ended, end) = (true, 0);
    }

    private static byte[] Packed(byte[] content)
    {
        using var packed = new MemoryStream();
        using (var stream = new GZipStream(packed, CompressionLevel.NoCompression))
            stream.Write(content);
        return packed.ToArray();
    }

    /// <summary>The file, and after it the member with the mark.</summary>
    private sealed class MarkedEnd(Stream file) : ForwardStream
    {
        private int given;

        /// <inheritdoc/>
        public override int Read(Span<byte> buffer)
        {
            if (given == 0 && file.Read(buffer) is > 0 and var read)
                return read;
            var count = Math.Min(buffer.Length, lastMember.Length - given);
            lastMember.AsSpan(given, count).CopyTo(buffer);
            given += count;
            return count;
        }

        /// <inheritdoc/>
        protected override void Dispose(bool disposing)
        {
            if (disposing)
                file.Dispose();
            base.Dispose(disposing);
        }
    }
}
