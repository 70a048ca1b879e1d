using Polymath.Recipes;
using Polymath.Runs;
using Polymath.Runs.Reports;

namespace Polymath.Training.Comparison;

/// <summary>The finished runs of a comparison's candidates.</summary>
public static class CandidateRuns
{
    /// <summary>Collects the reports of the candidates' runs.</summary>
    /// <param name="plan">The comparison.</param>
    /// <param name="recipe">The recipe's name.</param>
    /// <param name="folder">The comparison's folder.</param>
    /// <param name="failed">Why candidates could not be trained, by their names.</param>
    /// <param name="startOf">The file with the measurement before a candidate's training.</param>
    public static ComparisonReport Gather(
        TrainingPlan plan,
        string recipe,
        string folder,
        IReadOnlyDictionary<string, string> failed,
        Func<Candidate, string> startOf)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(startOf);
        var done = plan.Candidates.Select(candidate => (candidate.Name, File: Path.Combine(folder, candidate.Folder, "report.json")))
            .Where(pair => File.Exists(pair.File))
            .Select(pair => (pair.Name, Report: RunReport.Parse(File.ReadAllText(pair.File)))).ToList();
        var measured = plan.Candidates.Where(candidate => candidate.Shots == 0 && File.Exists(startOf(candidate)))
            .Select(candidate => Row(candidate.Name, StageRecord.ReadFile(startOf(candidate)).Abilities)).ToList();
        if (done.Count + measured.Count == 0)
            throw new RunFailedException("None of the candidates could be "
                + $"trained.{string.Concat(failed.Select(pair => $"\n  {pair.Key}: {pair.Value}"))}");
        List<ComparisonRow> rows =
            [.. done.GroupBy(pair => pair.Name).Select(group => Row(group.Key, [.. group.Select(pair => pair.Report)])), .. measured];
        double Rank(ComparisonRow row)
        {
            if (row.Abilities[plan.Quality].Mean is var mean && double.IsNaN(mean)) return double.NegativeInfinity;
            return plan.HigherIsBetter ? mean : -mean;
        }
        return new ComparisonReport(
            recipe,
            plan.Title,
            plan.Quality,
            plan.HigherIsBetter,
            plan.HasOneStart
                ? Abilities([.. done.Select(pair => pair.Report).DistinctBy(report => report.Seed).Select(report => report.Abilities[0])])
                : new Dictionary<string, Spread>(),
            [.. rows.OrderByDescending(Rank).ThenBy(row => row.Parameters)],
            failed,
            done.Count > 0 ? done[0].Report.Environment : Surroundings.Now());
    }

    // Nothing is trained for it.
    private static ComparisonRow Row(string name, AbilityRow row) => new(
        name,
        1,
        0,
        0,
        Abilities([row]),
        0,
        0,
        0)
    {
        Examples = 0,
    };

    private static ComparisonRow Row(string name, IReadOnlyList<RunReport> reports)
    {
        var stages = reports.Select(report => report.Stages[^1]).ToList();
        return new ComparisonRow(
            name,
            reports.Count,
            stages[0].TrainableParameters,
            (double)stages[0].TrainableParameters / stages[0].TotalParameters,
            Abilities([.. reports.Select(report => report.Abilities[^1])]),
            stages.Average(stage => stage.Seconds),
            stages.Average(stage => stage.TokensPerSecond),
            stages.Max(stage => stage.PeakMemoryMegabytes))
        {
            Examples = stages[0].Rows?.Rows,
        };
    }

    private static Dictionary<string, Spread> Abilities(IReadOnlyList<AbilityRow> rows) => rows.SelectMany(row => row.Values)
        .GroupBy(pair => pair.Key).ToDictionary(group => group.Key, group => Spread.Of([.. group.Select(pair => pair.Value)]));
}
