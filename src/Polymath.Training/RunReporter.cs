using Polymath.Recipes;
using Polymath.Runs;
using Polymath.Runs.Reports;
using Polymath.Training.Evaluation;

namespace Polymath.Training;

/// <summary>Writes a run's report: the page while it runs, and the page and the figures at its end.</summary>
/// <param name="materials">The recipe and its data.</param>
/// <param name="folder">The run's folder.</param>
internal sealed class RunReporter(Materials materials, RunFolder folder)
{
    private readonly List<StageRecord> done = [];

    /// <summary>The visit that is trained now; null between visits.</summary>
    internal LiveStage? Live { get; set; }

    /// <summary>Adds a finished visit.</summary>
    /// <param name="record">What it left.</param>
    internal void Add(StageRecord record)
    {
        done.Add(record);
        Live = null;
    }

    /// <summary>Writes the page of a run that goes on, without the results of the simple methods, which take a while.</summary>
    internal void WriteLive()
    {
        var report = Report(null, null) with { Live = Live };
        AtomicFile.WriteText(folder.File("report.html"), HtmlReport.Render(report, RunView.Lines(folder.Metrics), Better()));
    }

    /// <summary>Writes the page and <c>report.json</c>.</summary>
    /// <returns>The report.</returns>
    internal RunReport Write()
    {
        var baselines = new BaselineMeter(materials);
        var report = Report(baselines.UnigramPerplexity(), baselines.Accuracies());
        var lines = RunView.Lines(folder.Metrics);
        report = report with { Next = Suggestions.For(report, Better(), lines) };
        AtomicFile.WriteText(folder.File("report.json"), report.ToJson());
        AtomicFile.WriteText(folder.File("report.html"), HtmlReport.Render(report, lines, Better()));
        return report;
    }

    // A term of a mix has a folder of its own in the stage's.
    private static IEnumerable<(string Name, string Folder)> Folders(StageVisit visit, string place) =>
        visit.Stage.Objective is MixSpec { Terms: var terms }
            ? terms.Select(term => ($"{visit.Name}.{term.Name}", Path.Combine(place, term.Name)))
            : [(visit.Name, place)];

    private Dictionary<string, bool> Better() =>
        materials.Recipe.Abilities?.ToDictionary(pair => pair.Key, pair => pair.Value.HigherIsBetter) ?? [];

    private RunReport Report(double? unigram, IReadOnlyDictionary<string, double>? accuracies) => new(
        materials.Recipe.Name,
        materials.Recipe.Description ?? materials.Recipe.Name,
        materials.Recipe.Seed,
        unigram,
        Majority(accuracies),
        accuracies,
        [.. done.Select(record => record.Report).OfType<StageReport>()],
        [.. done.Select(record => record.Abilities)],
        [.. done.SelectMany(record => record.Samples)],
        Surroundings.Now(),
        [])
    {
        Rounds = Rounds(),
    };

    private Dictionary<string, IReadOnlyList<RoundAnswers>>? Rounds()
    {
        var rounds = materials.Recipe.Visits()
            .SelectMany((visit, i) => Folders(visit, folder.Stage(i, visit.Name)))
            .Select(pair => (pair.Name, Rounds: RoundAnswers.Of(pair.Folder)))
            .Where(pair => pair.Rounds.Count > 0).ToDictionary(pair => pair.Name, pair => pair.Rounds);
        return rounds.Count == 0 ? null : rounds;
    }

    private static double? Majority(IReadOnlyDictionary<string, double>? accuracies) => accuracies?
        .Where(pair => pair.Key.EndsWith(": " + BaselineMeter.Majority, StringComparison.Ordinal))
        .Select(pair => (double?)pair.Value)
        .FirstOrDefault();
}
