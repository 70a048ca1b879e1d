using System.Runtime.InteropServices;
using Polymath.Recipes;

namespace Polymath.Cli;

/// <summary>Leaves nothing half written beside a verb's output when the user stops it: a model's files are large, and their temporary names hidden.</summary>
sealed class Tidying : IDisposable
{
    readonly string place;
    readonly List<PosixSignalRegistration> signals;

    internal Tidying(string place)
    {
        this.place = place;
        signals = [PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop), PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop)];
    }

    public void Dispose() => signals.ForEach(signal => signal.Dispose());

    void Stop(PosixSignalContext signal)
    {
        signal.Cancel = true;
        // Twice: what writes does not stop at once, and may have made another file meanwhile.
        for (var attempt = 0; attempt < 2; attempt++)
        {
            try
            {
                AtomicFile.Abandon(place);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                continue;
            }
        }
        Console.Error.WriteLine($"polymath: stopped; {place} was not written.");
        Environment.Exit(Outcome.Interrupted);
    }
}
