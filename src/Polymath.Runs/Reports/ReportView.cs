namespace Polymath.Runs.Reports;

/// <summary>A report with the queries that its sections need.</summary>
/// <param name="report">The report.</param>
/// <param name="metrics">The figures measured during the run.</param>
/// <param name="higherIsBetter">For each ability, whether a higher value is better; an ability that is missing here has no
/// direction.</param>
internal sealed class ReportView(RunReport report, IReadOnlyList<MetricLine> metrics, IReadOnlyDictionary<string, bool> higherIsBetter)
{
    private const int Colours = 6;

    /// <summary>The report.</summary>
    public RunReport Report => report;

    /// <summary>The figures measured during the run.</summary>
    public IReadOnlyList<MetricLine> Metrics => metrics;

    /// <summary>The abilities, in the order of their first appearance.</summary>
    public IReadOnlyList<string> Abilities { get; } = [.. report.Abilities.SelectMany(row => row.Values.Keys)
        .Distinct(StringComparer.Ordinal)];

    /// <summary>The stages that have figures or were started, in the order they ran.</summary>
    public IReadOnlyList<string> Stages { get; } =
    [
        .. report.Stages.Select(stage => stage.Name)
            .Concat(metrics.Where(point => point.Name == MetricLine.Loss).Select(point => point.Stage))
            .Distinct(StringComparer.Ordinal),
    ];

    /// <summary>The values of an ability after each stage; NaN where it was not measured.</summary>
    public IReadOnlyList<double> Values(string ability) =>
        [.. report.Abilities.Select(row => row.Values.GetValueOrDefault(ability, double.NaN))];

    /// <summary>The results of simple methods in an ability.</summary>
    public IReadOnlyList<(string Name, double Value)> BaselinesOf(string ability)
    {
        var prefix = ability + ": ";
        var named = (report.Baselines ?? new Dictionary<string, double>())
            .Where(pair => pair.Key.StartsWith(prefix, StringComparison.Ordinal))
            .Select(pair => (Name: pair.Key[prefix.Length..], pair.Value))
            .ToList();
        if (report.UnigramPerplexity is { } unigram
            && ability == Abilities.FirstOrDefault(name => higherIsBetter.TryGetValue(name, out var up) && !up)
            && named.All(line => line.Name != "unigram"))
            named.Insert(0, ("unigram", unigram));
        return named;
    }

    /// <summary>The baselines whose names belong to no ability.</summary>
    public IReadOnlyList<(string Name, double Value)> OtherBaselines()
    {
        var other = (report.Baselines ?? new Dictionary<string, double>())
            .Where(pair => !Abilities.Any(ability => pair.Key.StartsWith(ability + ": ", StringComparison.Ordinal)))
            .Select(pair => (Name: pair.Key, pair.Value)).ToList();
        var shown = Abilities.SelectMany(BaselinesOf).Concat(other).Select(line => line.Name).ToHashSet(StringComparer.Ordinal);
        if (report.MajorityAccuracy is { } majority && !shown.Contains("majority")) other.Add(("majority", majority));
        if (report.UnigramPerplexity is { } unigram && !shown.Contains("unigram")) other.Add(("unigram", unigram));
        return other;
    }

    /// <summary>1 when the second value of an ability is the better one, -1 when it is the worse one, 0 when it is unknown.</summary>
    public int Compare(string ability, double first, double second)
    {
        if (higherIsBetter.TryGetValue(ability, out var up) && Math.Sign(Finite(second - first)) is var sign)
            return up ? sign : -sign;
        return 0;
    }

    /// <summary>The class of a stage's colour, the same on the whole page.</summary>
    public string Colour(string stage)
    {
        for (var i = 0; i < Stages.Count; i++)
            if (Stages[i] == stage) return "k" + (1 + i % Colours);
        return "k0";
    }

    private static double Finite(double value) => double.IsNaN(value) ? 0 : value;
}
