using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Writes whole files: a reader sees the old file or the new one, never a part, even when the power fails.</summary>
internal static class AtomicFile
{
    /// <summary>Writes beside the file, flushes to the disk, then takes the file's place.</summary>
    /// <exception cref="InputException">The file cannot be written.</exception>
    public static void Write(string file, ReadOnlySpan<byte> bytes)
    {
        var temporary = $"{file}.{Guid.NewGuid():N}.tmp";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(file))!);
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                stream.Write(bytes);
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, file, overwrite: true);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            TryDelete(temporary);
            throw new InputException($"cannot write {file}: {fault.Message} Free some space or choose another folder.", fault);
        }
    }

    private static void TryDelete(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            // The first fault is the one to tell; what is left bears a name that nothing reads.
        }
    }
}
