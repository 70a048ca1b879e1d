namespace Polymath.Text.Hubs;

/// <summary>
/// Lets only one process at a time work on a file. The guard's own file stays: after a deletion, two processes could hold locks on two
/// files of the same name.
/// </summary>
internal static class FileGuard
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>Waits until no other process works on it.</summary>
    /// <param name="file">The guard's file.</param>
    /// <param name="cancellation">Ends the waiting.</param>
    public static async Task<FileStream> TakeAsync(string file, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        while (true)
        {
            try
            {
                return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException fault) when ((fault.HResult & 0xFFFF) is 32 or 33 or 11 or 35)
            {
                // The file is held: a sharing violation on Windows, a refused lock elsewhere.
                await Task.Delay(Pause, cancellation);
            }
        }
    }
}
