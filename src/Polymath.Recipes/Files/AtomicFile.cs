using System.Runtime.InteropServices;

namespace Polymath.Recipes;

/// <summary>Writes files and folders whole or not at all: under a temporary name, flushed to disk, then renamed.</summary>
public static partial class AtomicFile
{
    /// <summary>Writes a file. An existing one is replaced only when the new one is whole.</summary>
    /// <param name="path">The file; its folder is made where it is missing.</param>
    /// <param name="write">Writes the content.</param>
    /// <exception cref="RunFailedException">The disk is full or the folder cannot be written; what was there before is
    /// untouched.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentNullException.ThrowIfNull(write);
        var full = Path.GetFullPath(path);
        var temporary = $"{full}.{Guid.NewGuid():N}.tmp";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(full)!);
            using (var stream = new FileStream(
                temporary,
                FileMode.CreateNew,
                FileAccess.Write,
                FileShare.None,
                1 << 16))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, full, overwrite: true);
            SyncFolder(Path.GetDirectoryName(full)!);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unwritable(path, e);
        }
        finally
        {
            Forget(temporary);
        }
    }

    /// <summary>Writes a file of bytes.</summary>
    /// <param name="path">The file.</param>
    /// <param name="bytes">The content.</param>
    public static void Write(string path, ReadOnlyMemory<byte> bytes) => Write(path, stream => stream.Write(bytes.Span));

    /// <summary>Writes a text file as UTF-8.</summary>
    /// <param name="path">The file.</param>
    /// <param name="text">The content.</param>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));

    /// <summary>
    /// Makes a folder whole or not at all: it is filled under a temporary name next to it and then renamed. An existing folder of the name
    /// is replaced.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="fill">Fills the temporary folder it is given.</param>
    /// <exception cref="RunFailedException">The disk is full or the place cannot be written; what was there before is
    /// untouched.</exception>
    public static void WriteFolder(string folder, Action<string> fill)
    {
        ArgumentNullException.ThrowIfNull(fill);
        var full = Path.GetFullPath(folder);
        var parent = Path.GetDirectoryName(full)!;
        var temporary = Path.Combine(parent, $".{Path.GetFileName(full)}.{Guid.NewGuid():N}.tmp");
        try
        {
            Directory.CreateDirectory(temporary);
            fill(temporary);
            SyncFolder(temporary);
            var old = temporary + ".old";
            if (Directory.Exists(full)) Directory.Move(full, old);
            try
            {
                Directory.Move(temporary, full);
            }
            catch when (Directory.Exists(old))
            {
                Directory.Move(old, full);
                throw;
            }
            SyncFolder(parent);
            if (Directory.Exists(old)) Directory.Delete(old, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unwritable(folder, e);
        }
        finally
        {
            if (Directory.Exists(temporary)) Directory.Delete(temporary, recursive: true);
        }
    }

    /// <summary>Removes what a killed process left under temporary names in a folder.</summary>
    /// <param name="folder">The folder; nothing happens where it is missing.</param>
    public static void Sweep(string folder)
    {
        if (!Directory.Exists(folder)) return;
        foreach (var file in Directory.GetFiles(folder, "*.tmp")) Forget(file);
        foreach (var left in Directory.GetDirectories(folder, ".*.tmp*"))
        {
            // The process was killed between two renames: the old content goes back to its place.
            var name = Path.GetFileName(left);
            var place = Path.Combine(folder, name[1..Math.Max(1, name.LastIndexOf(".tmp", StringComparison.Ordinal) - 33)]);
            if (name.EndsWith(".old", StringComparison.Ordinal) && place != folder && !Directory.Exists(place)) Directory.Move(left, place);
            else Directory.Delete(left, recursive: true);
        }
    }

    private static void Forget(string file)
    {
        if (File.Exists(file)) File.Delete(file);
    }

    private static RunFailedException Unwritable(string path, Exception e) =>
        new(
            $"{path} cannot be written: {e.Message} Free some space or give a folder you may write to; what was there before is untouched.",
            e);

    // A rename is on the disk only when its folder is flushed. Windows has no such call and needs none.
    private static void SyncFolder(string folder)
    {
        if (OperatingSystem.IsWindows()) return;
        var handle = OpenFolder(folder, 0);
        if (handle < 0) return;
        _ = SyncHandle(handle);
        _ = CloseHandle(handle);
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFolder(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int SyncHandle(int handle);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int CloseHandle(int handle);
}
