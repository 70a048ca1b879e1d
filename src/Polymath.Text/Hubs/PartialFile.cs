using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace Polymath.Text.Hubs;

/// <summary>A range of a file that is being fetched.</summary>
/// <param name="start">Its first byte.</param>
/// <param name="end">The byte after its last.</param>
/// <param name="at">The next byte.</param>
internal sealed class FileRange(long start, long end, long at)
{
    /// <summary>The first byte.</summary>
    public long Start => start;

    /// <summary>The byte after the last.</summary>
    public long End => end;

    /// <summary>The next byte.</summary>
    public long At { get; set; } = at;
}

/// <summary>
/// An incomplete file on the disk: either only its beginning, or ranges with a note (<c>.ranges</c>) about the progress of each. When a
/// process is killed, both remain, and the next one continues from there.
/// </summary>
internal sealed class PartialFile : IDisposable
{
    private static readonly TimeSpan NotesApart = TimeSpan.FromSeconds(1);
    private readonly string path;
    private readonly Lock noting = new();
    private long noted = TimeProvider.System.GetTimestamp();

    private PartialFile(string path, long size, List<FileRange> ranges)
    {
        (this.path, Ranges) = (path, ranges);
        // The note is written first: a file with gaps but without a note would be mistaken for a beginning.
        if (ranges.Count > 1) Note();
        Handle = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        if (RandomAccess.GetLength(Handle) > size) RandomAccess.SetLength(Handle, size);
    }

    /// <summary>The ranges.</summary>
    public IReadOnlyList<FileRange> Ranges { get; }

    /// <summary>The file.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>Whether only a beginning of the file has arrived so far.</summary>
    public bool Whole => Ranges.Count == 1;

    /// <summary>How much of a file has already arrived.</summary>
    public static long Arrived(string path, long size) => Read(path, size).Sum(range => range.At - range.Start);

    /// <summary>Opens the existing part, if any, and divides the missing part into ranges.</summary>
    public static PartialFile Open(string path, long size, TransferSettings settings)
    {
        var ranges = Read(path, size);
        if (ranges is [{ } only])
        {
            var missing = size - only.At;
            var count = Math.Clamp(missing / settings.RangeBytes, 1, settings.Ranges);
            if (count > 1)
            {
                var first = only.At;
                ranges = [.. Enumerable.Range(0, (int)count)
                    .Select(i => new FileRange(
                        i == 0 ? 0 : first + missing * i / count, first + missing * (i + 1) / count, first + missing * i / count))];
            }
        }
        return new PartialFile(path, size, ranges);
    }

    /// <summary>Removes it.</summary>
    public static void Delete(string path)
    {
        File.Delete(path);
        File.Delete(NoteOf(path));
    }

    /// <summary>Gives the complete file its final name.</summary>
    public static void Finish(string path, string target)
    {
        File.Move(path, target, overwrite: true);
        File.Delete(NoteOf(path));
    }

    /// <summary>Writes bytes that arrived.</summary>
    public async ValueTask WriteAsync(FileRange range, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        await RandomAccess.WriteAsync(Handle, bytes, range.At, cancellation);
        range.At += bytes.Length;
        if (Whole || TimeProvider.System.GetElapsedTime(Interlocked.Read(ref noted)) < NotesApart) return;
        Note();
    }

    /// <summary>Records the progress of each range.</summary>
    public void Note()
    {
        if (Whole) return;
        lock (noting)
        {
            Interlocked.Exchange(ref noted, TimeProvider.System.GetTimestamp());
            var temporary = NoteOf(path) + ".tmp";
            File.WriteAllText(temporary, JsonSerializer.Serialize(Ranges.Select(range => new[] { range.Start, range.End, range.At })));
            File.Move(temporary, NoteOf(path), overwrite: true);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Note();
        Handle.Dispose();
    }

    private static string NoteOf(string path) => path + ".ranges";

    private static List<FileRange> Read(string path, long size)
    {
        var length = File.Exists(path) ? new FileInfo(path).Length : 0;
        if (length > size) length = 0;
        if (length == 0 || !File.Exists(NoteOf(path))) return [new FileRange(0, size, length)];
        try
        {
            var ranges = (JsonSerializer.Deserialize<long[][]>(File.ReadAllText(NoteOf(path))) ?? [])
                .Select(range => new FileRange(range[0], range[1], range[2])).ToList();
            var at = 0L;
            foreach (var range in ranges)
            {
                if (range.Start != at || range.At < range.Start || range.At > range.End || (range.At > range.Start && range.At > length))
                    return [new FileRange(0, size, 0)];
                at = range.End;
            }
            return at == size ? ranges : [new FileRange(0, size, 0)];
        }
        catch (Exception fault) when (fault is JsonException or IndexOutOfRangeException)
        {
            return [new FileRange(0, size, 0)];
        }
    }
}
