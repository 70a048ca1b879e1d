using System.Diagnostics;

namespace Polymath.Cli;

/// <summary>
/// This program as a child process, for work with its own memory and time. Closing its input asks it to stop, so it also ends when its
/// parent ends.
/// </summary>
internal static class ChildCommand
{
    /// <summary>Runs a command to its end.</summary>
    /// <param name="arguments">The command.</param>
    /// <param name="log">The file for its output.</param>
    /// <param name="stop">Asks it to stop; it saves its state then.</param>
    /// <returns>The exit code, and the end of its output.</returns>
    internal static (int Code, string Said) Run(IEnumerable<string> arguments, string log, CancellationToken stop)
    {
        var program = Environment.ProcessPath!;
        // Under `dotnet FILE.dll` the file must be named again; an executable needs no file name.
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

    /// <summary>In the child: runs an action when the parent closes the input.</summary>
    /// <param name="stop">The action.</param>
    internal static void WhenAbandoned(Action stop) => new Thread(() =>
    {
        while (Console.In.Read() >= 0)
        {
            // The input's content is ignored; only its end matters.
        }
        stop();
    }) { IsBackground = true }.Start();
}
