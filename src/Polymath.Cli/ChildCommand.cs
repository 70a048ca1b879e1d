using System.Diagnostics;

namespace Polymath.Cli;

/// <summary>
/// This program as a child process: a piece of work whose memory and time are its own. It is asked to stop by closing its input, so that it
/// ends, too, when its parent is no more.
/// </summary>
static class ChildCommand
{
    /// <summary>Runs a command to its end.</summary>
    /// <param name="arguments">The command.</param>
    /// <param name="log">The file that keeps what it says.</param>
    /// <param name="stop">Asks it to stop; its state is saved then.</param>
    /// <returns>The exit code, and the last that it said.</returns>
    internal static (int Code, string Said) Run(IEnumerable<string> arguments, string log, CancellationToken stop)
    {
        var program = Environment.ProcessPath!;
        // Under `dotnet FILE.dll` the file is named again; an executable of its own needs no name.
        var file = Path.GetFileNameWithoutExtension(program) == "dotnet" ? [typeof(ChildCommand).Assembly.Location] : Array.Empty<string>();
        var start = new ProcessStartInfo(
            program, [.. file, .. arguments]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        Directory.CreateDirectory(Path.GetDirectoryName(log)!);
        using var writer = new StreamWriter(log) { AutoFlush = true };
        var last = "";
        void Keep(string? line)
        {
            if (string.IsNullOrWhiteSpace(line)) return;
            lock (writer)
            {
                writer.WriteLine(line);
                last = line;
            }
        }
        using var child = Process.Start(start)!;
        child.OutputDataReceived += (_, e) => Keep(e.Data);
        child.BeginOutputReadLine();
        var complaint = child.StandardError.ReadToEndAsync(CancellationToken.None);
        using (stop.Register(() => child.StandardInput.Close())) child.WaitForExit();
        var said = complaint.Result.Trim();
        Keep(said);
        return (child.ExitCode, said.Length > 0 ? said : last);
    }

    /// <summary>In the child: tells when the parent closes the input.</summary>
    /// <param name="stop">What is done then.</param>
    internal static void WhenAbandoned(Action stop) => new Thread(() =>
    {
        while (Console.In.Read() >= 0)
        {
            // What comes is of no interest, only that it ends.
        }
        stop();
    }) { IsBackground = true }.Start();
}
