using System.Text.Json;
using Polymath.Recipes;
using Polymath.Training.Reports;

namespace Polymath.Training.Comparison;

/// <summary>A figure over seeds.</summary>
/// <param name="Mean">The mean.</param>
/// <param name="Deviation">The standard deviation over the seeds (n − 1); null for one seed.</param>
/// <param name="Least">The smallest value.</param>
/// <param name="Most">The largest value.</param>
public sealed record Spread(double Mean, double? Deviation, double Least, double Most)
{
    /// <summary>The mean and spread of values.</summary>
    /// <param name="values">The values, at least one.</param>
    public static Spread Of(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        var mean = values.Average();
        return new Spread(
            mean,
            values.Count < 2 ? null : Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1)),
            values.Min(),
            values.Max());
    }
}

/// <summary>The result of one candidate.</summary>
/// <param name="Name">The candidate.</param>
/// <param name="Seeds">The finished seeds.</param>
/// <param name="Parameters">The number of trained parameters.</param>
/// <param name="Share">Their share of the model.</param>
/// <param name="Abilities">The stage's abilities.</param>
/// <param name="Seconds">The mean time spent in steps.</param>
/// <param name="TokensPerSecond">The mean number of tokens per second.</param>
/// <param name="PeakMemoryMegabytes">The peak memory of a process until the end of its training.</param>
public sealed record ComparisonRow(
    string Name,
    int Seeds,
    long Parameters,
    double Share,
    IReadOnlyDictionary<string, Spread> Abilities,
    double Seconds,
    double TokensPerSecond,
    double PeakMemoryMegabytes);

/// <summary>A comparison's result, as stored in <c>compare.json</c>.</summary>
/// <param name="Recipe">The recipe's name.</param>
/// <param name="Stage">The stage that was trained.</param>
/// <param name="Quality">The ability that ranks the rows.</param>
/// <param name="HigherIsBetter">Whether a higher value is better.</param>
/// <param name="Start">The abilities before the stage, over the seeds.</param>
/// <param name="Rows">The candidates, best first.</param>
/// <param name="Failed">The candidates that could not be trained, and why.</param>
/// <param name="Environment">The hardware and software of the run.</param>
public sealed record ComparisonReport(
    string Recipe,
    string Stage,
    string Quality,
    bool HigherIsBetter,
    IReadOnlyDictionary<string, Spread> Start,
    IReadOnlyList<ComparisonRow> Rows,
    IReadOnlyDictionary<string, string> Failed,
    EnvironmentReport Environment)
{
    /// <summary>The report as JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonLayout.IndentedRecord) + "\n";

    /// <summary>Collects the reports of the candidates' runs.</summary>
    /// <param name="plan">The comparison.</param>
    /// <param name="recipe">The recipe's name.</param>
    /// <param name="folder">The comparison's folder.</param>
    /// <param name="failed">Why candidates could not be trained, by their names.</param>
    public static ComparisonReport Gather(ComparisonPlan plan, string recipe, string folder, IReadOnlyDictionary<string, string> failed)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var done = plan.Candidates.Select(candidate => (candidate.Name, File: Path.Combine(folder, candidate.Folder, "report.json")))
            .Where(pair => File.Exists(pair.File))
            .Select(pair => (pair.Name, Report: RunReport.Parse(File.ReadAllText(pair.File)))).ToList();
        if (done.Count == 0)
            throw new RunFailedException("None of the candidates could be "
                + $"trained.{string.Concat(failed.Select(pair => $"\n  {pair.Key}: {pair.Value}"))}");
        var rows = done.GroupBy(pair => pair.Name).Select(group => Row(group.Key, [.. group.Select(pair => pair.Report)])).ToList();
        double Rank(ComparisonRow row)
        {
            if (row.Abilities[plan.Quality].Mean is var mean && double.IsNaN(mean)) return double.NegativeInfinity;
            return plan.HigherIsBetter ? mean : -mean;
        }
        return new ComparisonReport(
            recipe,
            plan.Stage.Name,
            plan.Quality,
            plan.HigherIsBetter,
            Abilities([.. done.Select(pair => pair.Report).DistinctBy(report => report.Seed).Select(report => report.Abilities[0])]),
            [.. rows.OrderByDescending(Rank).ThenBy(row => row.Parameters)],
            failed,
            done[0].Report.Environment);
    }

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
            stages.Max(stage => stage.PeakMemoryMegabytes));
    }

    private static Dictionary<string, Spread> Abilities(IReadOnlyList<AbilityRow> rows) => rows.SelectMany(row => row.Values)
        .GroupBy(pair => pair.Key).ToDictionary(group => group.Key, group => Spread.Of([.. group.Select(pair => pair.Value)]));
}
