using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads a file, leaves out a byte-order mark, and refuses the first byte that is not UTF-8.</summary>
internal sealed class CheckedTextStream : Stream
{
    private readonly FileStream inner;
    private readonly string file;
    private readonly Action<long>? progress;
    private readonly byte[] buffer = new byte[1 << 16];
    private int start, sound, end;
    private long line = 1, column = 1;
    private bool opened, ended;

    /// <summary>Opens a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="progress">Is told how many bytes were read.</param>
    /// <exception cref="InputException">It cannot be opened.</exception>
    public CheckedTextStream(string file, Action<long>? progress = null)
    {
        (this.file, this.progress) = (file, progress);
        try
        {
            inner = new FileStream(
                file,
                FileMode.Open,
                FileAccess.Read,
                FileShare.Read,
                bufferSize: 0,
                FileOptions.SequentialScan);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"cannot read {file}: {fault.Message} Check the path and its permissions.", fault);
        }
    }

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override bool CanWrite => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        while (start == sound && !ended)
            Fill();
        var count = Math.Min(buffer.Length, sound - start);
        this.buffer.AsSpan(start, count).CopyTo(buffer);
        start += count;
        return count;
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            inner.Dispose();
        base.Dispose(disposing);
    }

    // Keeps the tail that may be half a character, reads on behind it, and checks all that is whole.
    private void Fill()
    {
        buffer.AsSpan(sound, end - sound).CopyTo(buffer);
        end -= sound;
        start = 0;
        var count = ReadInner();
        ended = count == 0;
        end += count;
        if (!opened && (end >= 3 || ended))
        {
            opened = true;
            if (buffer.AsSpan(0, end).StartsWith("\uFEFF"u8))
                start = 3;
        }

        sound = opened ? CheckedEnd() : 0;
        progress?.Invoke(count);
    }

    private int ReadInner()
    {
        try
        {
            return inner.Read(buffer.AsSpan(end));
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"cannot read {file}: {fault.Message} Check the path and the disk.", fault);
        }
    }

    private int CheckedEnd()
    {
        var whole = ended ? end : end - TailLength(buffer.AsSpan(start, end - start));
        var span = buffer.AsSpan(start, whole - start);
        if (!Utf8.IsValid(span))
        {
            var good = 0;
            while (Rune.DecodeFromUtf8(span[good..], out _, out var width) == OperationStatus.Done)
                good += width;
            Count(span[..good]);
            throw new InputException(
                $"{file}, line {line}, byte {column}: 0x{span[good]:X2} is not UTF-8. Convert the file first, such as with: iconv -f "
                    + $"latin1 -t utf-8 {Path.GetFileName(file)} > converted.txt (or -f gb18030, -f utf-16).");
        }

        Count(span);
        return whole;
    }

    private void Count(ReadOnlySpan<byte> span)
    {
        line += span.Count((byte)'\n');
        var last = span.LastIndexOf((byte)'\n');
        column = last < 0 ? column + span.Length : span.Length - last;
    }

    // How many bytes at the end could begin a character that goes on behind them.
    private static int TailLength(ReadOnlySpan<byte> span)
    {
        for (var back = 1; back <= Math.Min(3, span.Length); back++)
        {
            var value = span[^back];
            if ((value & 0xC0) == 0x80)
                continue;
            var needed = value switch { >= 0xF0 => 4, >= 0xE0 => 3, >= 0xC0 => 2, _ => 1 };
            return needed > back ? back : 0;
        }

        return 0;
    }
}
