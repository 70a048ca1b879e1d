namespace Polymath.Text.Hubs;

/// <summary>
/// Lets one process at a time at a file. The guard's own file stays: deleting it would let two hold locks on two files of one name.
/// </summary>
internal static class FileGuard
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>Waits until nobody else is at it.</summary>
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
                // Held: a sharing violation on Windows, a refused lock elsewhere.
                await Task.Delay(Pause, cancellation);
            }
        }
    }
}
