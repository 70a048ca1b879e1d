using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Polymath.Tests.Cli;

/// <summary>The exit code and the output of a command.</summary>
internal sealed record CliResult(int Code, string Out, string Error)
{
    public string All => Out + Error;
}

/// <summary>The built command line as a child process.</summary>
internal static partial class CliProgram
{
    // A hanging command is ended after a long time; a command that is only slow continues.
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    public const int Interrupt = 2, Kill = 9;

    public static CliResult Run(string folder, params string[] arguments) => Say(folder, "", arguments);

    /// <summary>Runs a command with something on its standard input. A user never sees a stack trace.</summary>
    public static CliResult Say(string folder, string input, params string[] arguments)
    {
        using var process = Start(folder, arguments);
        process.StandardInput.Write(input);
        return End(process);
    }

    public static Process Start(string folder, params string[] arguments) => Start(folder, new Dictionary<string, string>(), arguments);

    /// <summary>Starts a command with its own environment variables.</summary>
    public static Process Start(string folder, IReadOnlyDictionary<string, string> variables, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Polymath.Cli.dll"), .. arguments])
        {
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // One thread: small models are not faster on more, and the tests share the machine.
        start.Environment["OMP_NUM_THREADS"] = "1";
        start.Environment["COLUMNS"] = "200";
        start.Environment.Remove("POLYMATH_TRACE");
        foreach (var (name, value) in variables) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    public static CliResult End(Process process)
    {
        process.StandardInput.Close();
        Task<string> said = process.StandardOutput.ReadToEndAsync(), complained = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail("The command did not end. It said: " + said.Result + complained.Result);
        }
        var result = new CliResult(process.ExitCode, said.Result, complained.Result);
        Assert.DoesNotContain("   at ", result.All);
        Assert.DoesNotContain("Unexpected:", result.All);
        return result;
    }

    public static void Signal(Process process, int signal) => Assert.Equal(0, SendSignal(process.Id, signal));

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int SendSignal(int process, int signal);
}
