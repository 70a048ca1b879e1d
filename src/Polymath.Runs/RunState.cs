using System.Text.Json.Serialization;

namespace Polymath.Runs;

/// <summary>How far a run is.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<RunPhase>))]
public enum RunPhase
{
    /// <summary>A process trains, measures or prepares.</summary>
    [JsonStringEnumMemberName("running")]
    Running,

    /// <summary>It was asked to stop; the same command goes on.</summary>
    [JsonStringEnumMemberName("stopped")]
    Stopped,

    /// <summary>It ended with an error.</summary>
    [JsonStringEnumMemberName("failed")]
    Failed,

    /// <summary>Every stage is done.</summary>
    [JsonStringEnumMemberName("finished")]
    Finished,

    /// <summary>Its process is gone and said nothing: it was killed, or the machine went down. Never written, only concluded.</summary>
    [JsonStringEnumMemberName("killed")]
    Killed,
}

/// <summary>The state of a run, as stored in <c>run.json</c>.</summary>
/// <param name="Id">The run's id: it stays when the run is continued or its folder is moved.</param>
/// <param name="Phase">How far it is.</param>
/// <param name="Began">When the run began, UTC.</param>
/// <param name="Updated">When the state was written, UTC.</param>
/// <param name="Process">The process that wrote it.</param>
/// <param name="ProcessBegan">When that process began, UTC: numbers of processes are used again.</param>
/// <param name="Machine">The machine of the process.</param>
/// <param name="Stage">The visit of a stage that it is at; null before the first and after the last.</param>
/// <param name="Message">Why it failed or where it stopped; null otherwise.</param>
public sealed record RunState(
    string Id,
    RunPhase Phase,
    DateTimeOffset Began,
    DateTimeOffset Updated,
    int Process,
    DateTimeOffset ProcessBegan,
    string Machine,
    string? Stage,
    string? Message)
{
    /// <summary>The file of a run's folder that holds it.</summary>
    public const string File = "run.json";

    // The system rounds the time at which a process began.
    private static readonly TimeSpan tolerance = TimeSpan.FromSeconds(2);

    /// <summary>The state of a run that this process begins or continues.</summary>
    /// <param name="before">What was written before; null where the run begins.</param>
    public static RunState Of(RunState? before)
    {
        using var own = System.Diagnostics.Process.GetCurrentProcess();
        var now = TimeProvider.System.GetUtcNow();
        return new RunState(
            before?.Id ?? Guid.NewGuid().ToString("N")[..12],
            RunPhase.Running,
            before?.Began ?? now,
            now,
            own.Id,
            own.StartTime.ToUniversalTime(),
            Environment.MachineName,
            null,
            null);
    }

    /// <summary>The phase as it is: a run whose process is gone does not run. On another machine it is what was written.</summary>
    public RunPhase Now() => Phase == RunPhase.Running && Machine == Environment.MachineName && !Lives() ? RunPhase.Killed : Phase;

    private bool Lives()
    {
        try
        {
            using var process = System.Diagnostics.Process.GetProcessById(Process);
            return (process.StartTime.ToUniversalTime() - ProcessBegan).Duration() < tolerance;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
