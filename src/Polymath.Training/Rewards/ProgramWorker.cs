using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>One running copy of a program that answers lines with lines. It is started when it is first asked, and again after it
/// failed.</summary>
/// <param name="command">The program and its arguments.</param>
/// <param name="folder">The folder that it runs in.</param>
/// <param name="limit">The time limit of an answer.</param>
internal sealed class ProgramWorker(IReadOnlyList<string> command, string folder, TimeSpan limit) : IDisposable
{
    private static readonly UTF8Encoding encoding = new(encoderShouldEmitUTF8Identifier: false);

    private static readonly TimeSpan patienceAtTheEnd = TimeSpan.FromSeconds(5);

    private Process? process;
    private volatile string complaint = "";
    private TaskCompletionSource allHeard = new();

    /// <summary>Asks for the answer to a line.</summary>
    /// <param name="line">The line.</param>
    /// <param name="stop">Ends the program.</param>
    /// <returns>The answer, or why there is none.</returns>
    /// <exception cref="InputException">The program cannot be started.</exception>
    internal (string? Said, string? Failure) Ask(string line, CancellationToken stop)
    {
        process ??= Start();
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(stop);
        patience.CancelAfter(limit);
        try
        {
            process.StandardInput.WriteLineAsync(line.AsMemory(), patience.Token).GetAwaiter().GetResult();
            process.StandardInput.FlushAsync(patience.Token).GetAwaiter().GetResult();
            var said = process.StandardOutput.ReadLineAsync(patience.Token).AsTask().GetAwaiter().GetResult();
            return said is null ? (null, Ended()) : (said, null);
        }
        catch (OperationCanceledException)
        {
            End();
            stop.ThrowIfCancellationRequested();
            return (null, $"took longer than {limit.TotalSeconds:0.###} s");
        }
        catch (IOException)
        {
            return (null, Ended());
        }
    }

    private string Ended()
    {
        process!.WaitForExit(patienceAtTheEnd);
        var code = process.HasExited ? $"ended with exit code {process.ExitCode}" : "closed its output";
        // Its last words come on another thread, maybe after its end. A child that it left may keep the pipe open, so the wait is limited.
        allHeard.Task.Wait(patienceAtTheEnd);
        End();
        return complaint.Length == 0 ? code : $"{code}: {complaint}";
    }

    private Process Start()
    {
        var name = command[0];
        // A path is relative to the recipe; a bare name is looked for by the system.
        if (name.Contains('/', StringComparison.Ordinal) || name.Contains('\\', StringComparison.Ordinal))
            name = Path.GetFullPath(name, Path.GetFullPath(folder));
        var start = new ProcessStartInfo(name)
        {
            WorkingDirectory = Path.GetFullPath(folder),
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = encoding,
            StandardOutputEncoding = encoding,
        };
        foreach (var argument in command.Skip(1)) start.ArgumentList.Add(argument);
        try
        {
            var started = Process.Start(start)!;
            complaint = "";
            var heard = allHeard = new();
            started.ErrorDataReceived += (_, line) =>
            {
                if (line.Data is null) heard.TrySetResult();
                else if (!string.IsNullOrWhiteSpace(line.Data)) complaint = line.Data.Trim();
            };
            started.BeginErrorReadLine();
            return started;
        }
        catch (Exception e) when (e is Win32Exception or IOException)
        {
            throw new InputException($"The reward's program {command[0]} cannot be started: {e.Message} Check its name, and that the file "
                + "may be executed.", e);
        }
    }

    private void End()
    {
        if (process is null) return;
        try
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
            process.WaitForExit(patienceAtTheEnd);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception)
        {
            // It has ended by itself.
        }
        process.Dispose();
        process = null;
    }

    /// <summary>Ends the program.</summary>
    public void Dispose() => End();
}
