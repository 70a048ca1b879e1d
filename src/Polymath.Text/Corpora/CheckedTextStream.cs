using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads a file, leaves out a byte-order mark, and refuses the first byte that is not UTF-8.</summary>
internal sealed class CheckedTextStream : Stream
{
    private readonly FileStream _inner;
    private readonly string _file;
    private readonly Action<long>? _progress;
    private readonly byte[] _buffer = new byte[1 << 16];
    private int _start, _checked, _end;
    private long _line = 1, _column = 1;
    private bool _opened, _ended;

    /// <summary>Opens a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="progress">Is told how many bytes were read.</param>
    /// <exception cref="InputException">It cannot be opened.</exception>
    public CheckedTextStream(string file, Action<long>? progress = null)
    {
        (_file, _progress) = (file, progress);
        try
        {
            _inner = new FileStream(
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
        while (_start == _checked && !_ended)
            Fill();
        var count = Math.Min(buffer.Length, _checked - _start);
        _buffer.AsSpan(_start, count).CopyTo(buffer);
        _start += count;
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
            _inner.Dispose();
        base.Dispose(disposing);
    }

    // Keeps the tail that may be half a character, reads on behind it, and checks all that is whole.
    private void Fill()
    {
        _buffer.AsSpan(_checked, _end - _checked).CopyTo(_buffer);
        _end -= _checked;
        _start = 0;
        var count = ReadInner();
        _ended = count == 0;
        _end += count;
        if (!_opened && (_end >= 3 || _ended))
        {
            _opened = true;
            if (_buffer.AsSpan(0, _end).StartsWith("\uFEFF"u8))
                _start = 3;
        }

        _checked = _opened ? CheckedEnd() : 0;
        _progress?.Invoke(count);
    }

    private int ReadInner()
    {
        try
        {
            return _inner.Read(_buffer.AsSpan(_end));
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"cannot read {_file}: {fault.Message} Check the path and the disk.", fault);
        }
    }

    private int CheckedEnd()
    {
        var whole = _ended ? _end : _end - TailLength(_buffer.AsSpan(_start, _end - _start));
        var span = _buffer.AsSpan(_start, whole - _start);
        if (!Utf8.IsValid(span))
        {
            var good = 0;
            while (Rune.DecodeFromUtf8(span[good..], out _, out var width) == OperationStatus.Done)
                good += width;
            Count(span[..good]);
            throw new InputException(
                $"{_file}, line {_line}, byte {_column}: 0x{span[good]:X2} is not UTF-8. Convert the file first, such as with: iconv -f "
                    + $"latin1 -t utf-8 {Path.GetFileName(_file)} > converted.txt (or -f gb18030, -f utf-16).");
        }

        Count(span);
        return whole;
    }

    private void Count(ReadOnlySpan<byte> span)
    {
        _line += span.Count((byte)'\n');
        var last = span.LastIndexOf((byte)'\n');
        _column = last < 0 ? _column + span.Length : span.Length - last;
    }

    // How many bytes at the end could begin a character that goes on behind them.
    private static int TailLength(ReadOnlySpan<byte> span)
    {
        for (var back = 1; back <= Math.Min(3, span.Length); back++)
        {
            var value = span[^back];
            if ((value & 0xC0) == 0x80)
                continue;
            var needed = value >= 0xF0 ? 4 : value >= 0xE0 ? 3 : value >= 0xC0 ? 2 : 1;
            return needed > back ? back : 0;
        }

        return 0;
    }
}
