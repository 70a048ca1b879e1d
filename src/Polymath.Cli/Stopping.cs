using System.Runtime.InteropServices;

namespace Polymath.Cli;

/// <summary>
/// Lets a user stop a verb that writes: nothing half written stays behind, since a model's files are large and their temporary names
/// hidden.
/// </summary>
static class Stopping
{
    /// <summary>Writes a file or a folder that appears whole or not at all.</summary>
    /// <param name="place">What is written.</param>
    /// <param name="write">Writes it, and gives up when it is asked to.</param>
    internal static void Write(string place, Action<CancellationToken> write)
    {
        using var stop = new CancellationTokenSource();
        void Ask(PosixSignalContext signal)
        {
            // Who asks twice does not want to wait.
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
