using System.Text.Json;

namespace Polymath.Runs;

/// <summary>A run in a line.</summary>
/// <param name="Folder">Its folder.</param>
/// <param name="Name">Its recipe's name.</param>
/// <param name="Id">Its id; null where no process wrote one.</param>
/// <param name="Phase">How far it is: running, stopped, failed, finished, killed.</param>
/// <param name="Message">Why it failed, or where it stopped.</param>
/// <param name="Stage">The visit that has the last figure; null before the first step.</param>
/// <param name="Step">Its last step.</param>
/// <param name="Loss">The loss of that step.</param>
/// <param name="Done">The finished visits.</param>
/// <param name="Stages">The stages of the recipe; rounds count once.</param>
/// <param name="Figures">The last value of each ability and of the held-out loss.</param>
/// <param name="Changed">When its last figure was measured, or its state written.</param>
public sealed record RunSummary(
    string Folder,
    string Name,
    string? Id,
    string Phase,
    string? Message,
    string? Stage,
    int? Step,
    double? Loss,
    int Done,
    int Stages,
    IReadOnlyDictionary<string, double> Figures,
    DateTimeOffset Changed)
{
    /// <summary>The summary of a run.</summary>
    /// <param name="run">The run.</param>
    public static RunSummary Of(RunView run)
    {
        ArgumentNullException.ThrowIfNull(run);
        var last = run.LastStep();
        return new RunSummary(
            run.Folder,
            run.Name,
            run.State?.Id,
            JsonNamingPolicy.CamelCase.ConvertName(run.Phase.ToString()),
            run.State?.Message,
            last?.Stage,
            last?.Step,
            last?.Value,
            run.Done.Count(record => record.Report is not null),
            Math.Max(run.Stages.Count, run.Visits.Count),
            LastFigures(run),
            run.Metrics.Select(line => line.Time).Append(run.State?.Updated ?? default).Max());
    }

    // What was measured last, whether on the way or at the end of a stage.
    private static Dictionary<string, double> LastFigures(RunView run)
    {
        var values = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var line in run.Metrics)
        {
            var name = line.Name.StartsWith(MetricLine.After, StringComparison.Ordinal) ? line.Name[MetricLine.After.Length..] : line.Name;
            if (name != MetricLine.Loss && !name.Contains(' ', StringComparison.Ordinal))
                values[name] = line.Value;
        }
        return values;
    }
}
