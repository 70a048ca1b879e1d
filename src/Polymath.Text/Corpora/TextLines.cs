using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Cuts a stream into lines of bytes.</summary>
internal static class TextLines
{
    private const int LongestLine = 1 << 30;

    /// <summary>The lines without their ends (LF or CRLF), numbered from 1. A line is valid only until the next one is requested.</summary>
    /// <exception cref="InputException">A line is longer than a gigabyte.</exception>
    public static IEnumerable<(long Number, ReadOnlyMemory<byte> Bytes)> Read(string file, Stream stream)
    {
        var buffer = new byte[1 << 16];
        int start = 0, end = 0;
        for (long number = 1; ;)
        {
            var length = buffer.AsSpan(start, end - start).IndexOf((byte)'\n');
            if (length >= 0)
            {
                yield return (number++, Trim(buffer, start, length));
                start += length + 1;
                continue;
            }

            buffer.AsSpan(start, end - start).CopyTo(buffer);
            (start, end) = (0, end - start);
            if (end == buffer.Length)
            {
                if (end >= LongestLine)
                    throw new InputException($"{file}, line {number} is longer than a gigabyte. Is it a file of lines? Cut it into rows.");
                Array.Resize(ref buffer, 2 * end);
            }

            var count = stream.Read(buffer.AsSpan(end));
            if (count == 0)
            {
                if (end > 0)
                    yield return (number, Trim(buffer, 0, end));
                yield break;
            }

            end += count;
        }
    }

    private static ReadOnlyMemory<byte> Trim(byte[] buffer, int start, int length)
        => buffer.AsMemory(start, length > 0 && buffer[start + length - 1] == '\r' ? length - 1 : length);
}
