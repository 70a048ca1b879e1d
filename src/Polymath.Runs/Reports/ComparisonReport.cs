using System.Text.Json;
using System.Text.Json.Serialization;
using Polymath.Recipes;

namespace Polymath.Runs.Reports;

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
    double PeakMemoryMegabytes)
{
    /// <summary>The rows that it was trained on; null where they are not counted.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Examples { get; init; }
}

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
}
