using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads a text file: decompresses it if needed, skips a byte-order mark, and refuses the first byte that is not UTF-8.</summary>
internal sealed class CheckedTextStream : ForwardStream
{
    private const int HeadLength = 8;

    private readonly string file;
    private readonly byte[] buffer = new byte[1 << 16];
    private Stream inner;
    private int start, good, end;
    private long line = 1, column = 1;
    private bool unpacked, opened, ended;

    private CheckedTextStream(string file, Stream inner) => (this.file, this.inner) = (file, inner);

    /// <summary>Opens a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="progress">Receives the number of bytes that were read.</param>
    /// <exception cref="InputException">It cannot be opened.</exception>
    public static CheckedTextStream Open(string file, Action<long>? progress = null)
    {
        try
        {
            Stream inner = new FileStream(
                file,
                FileMode.Open,
                FileAccess.Read,
                FileShare.Read,
                bufferSize: 1 << 16,
                FileOptions.SequentialScan);
            var head = new byte[HeadLength];
            var length = inner.ReadAtLeast(head, HeadLength, throwOnEndOfStream: false);
            inner.Position = 0;
            if (progress is not null)
                inner = new CountedStream(inner, progress);
            return new CheckedTextStream(file, Compression.Open(file, inner, head.AsSpan(0, length)));
        }
        catch (Exception fault) when (fault is (IOException and not EndOfStreamException) or UnauthorizedAccessException)
        {
            throw new InputException($"cannot read {file}: {fault.Message} Check the path and its permissions.", fault);
        }
        catch (Exception fault) when (fault is not (InputException or OutOfMemoryException))
        {
            throw Damaged(file, fault);
        }
    }

    /// <summary>The first byte that is not white space, without consuming it; -1 when there is none near the start.</summary>
    public int Peek()
    {
        while (start == good && !ended)
            Fill();
        var at = buffer.AsSpan(start, good - start).IndexOfAnyExcept(" \t\r\n"u8);
        return at < 0 ? -1 : buffer[start + at];
    }

    /// <summary>The first line, as far as it is buffered, without consuming it.</summary>
    public string FirstLine()
    {
        Peek();
        var near = buffer.AsSpan(start, good - start);
        var end = near.IndexOf((byte)'\n');
        return Encoding.UTF8.GetString(end < 0 ? near : near[..end]);
    }

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        while (start == good && !ended)
            Fill();
        var count = Math.Min(buffer.Length, good - start);
        this.buffer.AsSpan(start, count).CopyTo(buffer);
        start += count;
        return count;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            inner.Dispose();
        base.Dispose(disposing);
    }

    // Keeps the tail that may be part of a character, reads more bytes after it, and checks all complete characters.
    private void Fill()
    {
        buffer.AsSpan(good, end - good).CopyTo(buffer);
        end -= good;
        start = 0;
        var count = ReadInner();
        ended = count == 0;
        end += count;
        if (!opened && (end >= 3 || ended))
        {
            opened = true;
            if (buffer.AsSpan(0, end).StartsWith("\uFEFF"u8))
                start = 3;
            TextEncodings.RefuseWideText(file, buffer.AsSpan(start, end - start));
        }

        good = opened ? CheckedEnd() : 0;
    }

    private int ReadInner()
    {
        try
        {
            if (!unpacked)
                ReadMark();
            return inner.ReadAtLeast(buffer.AsSpan(end), buffer.Length - end, throwOnEndOfStream: false);
        }
        catch (Exception fault) when (fault is (IOException and not EndOfStreamException) or UnauthorizedAccessException)
        {
            throw new InputException($"cannot read {file}: {fault.Message} Check the path and the disk.", fault);
        }
        catch (Exception fault) when (fault is not OutOfMemoryException)
        {
            // With damaged bytes, decompression libraries may throw any exception.
            throw Damaged(file, fault);
        }
    }

    private static InputException Damaged(string file, Exception fault) =>
        new($"{file} cannot be unpacked: {fault.Message.TrimEnd('.')}. Is the file whole? Fetch it again.", fault);

    // The mark of an encoding is the first of the unpacked bytes.
    private void ReadMark()
    {
        unpacked = true;
        var head = new byte[HeadLength];
        var length = inner.ReadAtLeast(head, HeadLength, throwOnEndOfStream: false);
        inner = TextEncodings.Utf8(new HeadedStream(head.AsMemory(0, length), inner), head.AsSpan(0, length));
    }

    private int CheckedEnd()
    {
        var whole = ended ? end : end - TailLength(buffer.AsSpan(start, end - start));
        var span = buffer.AsSpan(start, whole - start);
        if (!Utf8.IsValid(span))
        {
            var valid = 0;
            while (Rune.DecodeFromUtf8(span[valid..], out _, out var width) == OperationStatus.Done)
                valid += width;
            Count(span[..valid]);
            var line = span[..valid].LastIndexOf((byte)'\n') + 1;
            throw new InputException($"{file}, line {this.line}, byte {column}: 0x{span[valid]:X2} is not UTF-8. "
                + $"{TextEncodings.Advice(file, span[line..])}");
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

    // The number of bytes at the end that may be the start of a longer character.
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
