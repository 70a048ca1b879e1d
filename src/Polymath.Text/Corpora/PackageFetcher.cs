using System.ComponentModel;
using System.Diagnostics;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Fetches packages with the npm client of the machine.</summary>
/// <param name="npm">The client.</param>
internal sealed class PackageFetcher(string npm)
{
    private const int LastLines = 3;

    /// <summary>Fetches a package's archive into an empty folder.</summary>
    /// <param name="address">The package.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="byHand">The advice for placing the archive by hand.</param>
    /// <param name="cancellation">Ends the client.</param>
    /// <returns>The archive.</returns>
    /// <exception cref="InputException">There is no client, or it failed.</exception>
    public string Fetch(PackageAddress address, string folder, string byHand, CancellationToken cancellation)
    {
        var package = $"{address.Name}@{address.Version}";
        var start = new ProcessStartInfo(
            npm) { WorkingDirectory = folder, RedirectStandardError = true, RedirectStandardOutput = true, RedirectStandardInput = true };
        foreach (var argument in (string[])["pack", package, "--ignore-scripts", "--pack-destination", folder])
            start.ArgumentList.Add(argument);
        using var process = Start(start, package, byHand);
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync(cancellation);
        var errors = process.StandardError.ReadToEndAsync(cancellation);
        try
        {
            process.WaitForExitAsync(cancellation).GetAwaiter().GetResult();
            Task.WaitAll([output, errors], cancellation);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        if (process.ExitCode != 0)
        {
            var lines = errors.Result.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            throw new InputException($"npm could not fetch {package} (exit code {process.ExitCode}): "
                + $"{string.Join(" / ", lines.TakeLast(LastLines))}. {byHand}");
        }

        var archives = Directory.GetFiles(folder, "*.tgz");
        return archives.Length == 1
            ? archives[0]
            : throw new InputException($"npm succeeded but left {archives.Length} archives for {package}, not one. {byHand}");
    }

    private Process Start(ProcessStartInfo start, string package, string byHand)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception fault)
        {
            throw new InputException(
                $"the package {package} is needed, but '{npm}' cannot be started: it is not on the PATH. Install npm, or work without it: "
                    + $"{byHand}",
                fault);
        }
    }
}
