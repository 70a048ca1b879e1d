using System.Runtime.InteropServices;

namespace Polymath.Cli;

/// <summary>
/// Lets a user stop a verb that writes. Incomplete files are removed, because a model's files are large and their temporary names are
/// hidden.
/// </summary>
internal static class Stopping
{
    /// <summary>Writes a file or a folder that appears whole or not at all.</summary>
    /// <param name="place">The file or folder.</param>
    /// <param name="write">Writes it, and stops when asked to.</param>
    internal static void Write(string place, Action<CancellationToken> write)
    {
        using var stop = new CancellationTokenSource();
        void Ask(PosixSignalContext signal)
        {
            // A second request stops at once.
            signal.Cancel = !stop.IsCancellationRequested;
            stop.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Ask);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Ask);
        try
        {
            write(stop.Token);
        }
        catch (OperationCanceledException e)
        {
            throw new OperationCanceledException($"Stopped; {place} was not written.", e);
        }
    }
}
