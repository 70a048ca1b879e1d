using System.Text.Json;
using Polymath.Recipes;
using Polymath.Runs;
using Polymath.Training.Rollouts;

namespace Polymath.Training.Stages;

/// <summary>
/// Makes the sources of a visit that come from what models answered: the rollouts of an earlier stage, or people's votes. Their rows are
/// written to the run's folder <c>sources</c>, one JSON object a line, so that a person can read what is learned.
/// </summary>
/// <param name="materials">The run's recipe and data.</param>
/// <param name="graph">Knows the visits' folders.</param>
/// <param name="folder">The run's folder.</param>
internal sealed class MadeSources(Materials materials, StageGraph graph, RunFolder folder)
{
    /// <summary>Makes the sources that a visit reads.</summary>
    /// <param name="visit">The visit.</param>
    /// <exception cref="RunFailedException">There is nothing to learn in one of them.</exception>
    internal void Give(StageVisit visit)
    {
        foreach (var name in visit.Stage.Sources.Select(RootOf).Distinct())
        {
            var file = Path.Combine(folder.File("sources"), $"{name}-{visit.Name}.jsonl");
            // A stage that goes on learns what it began with, though people may have voted since.
            if (materials.Recipe.Data[name] is IMadeSource && File.Exists(file) && HasBegun(visit))
            {
                materials.Corpora.Give(name, file);
                continue;
            }
            IReadOnlyList<IReadOnlyDictionary<string, object>>? rows = materials.Recipe.Data[name] switch
            {
                SampledSpec sampled => Of(visit, name, sampled),
                VotesSpec votes => Of(votes),
                _ => null,
            };
            if (rows is null) continue;
            if (rows.Count == 0)
                throw new RunFailedException($"{visit.Name}: data '{name}' has no rows: {Reason(materials.Recipe.Data[name])}");
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            AtomicFile.WriteText(file, string.Concat(rows.Select(row => JsonSerializer.Serialize(row, JsonLayout.RecordLine) + "\n")));
            materials.Corpora.Give(name, file);
        }
    }

    private bool HasBegun(StageVisit visit)
    {
        var saves = Path.Combine(graph.PlaceOf(visit), "checkpoints");
        return Directory.Exists(saves) && Directory.EnumerateDirectories(saves).Any();
    }

    private string RootOf(string source)
    {
        while (materials.Recipe.Data[source] is ViewSpec view) source = view.View;
        return source;
    }

    private static string Reason(DataSpec source) => source switch
    {
        SampledSpec { What: SampledRows.Pairs } sampled =>
            $"no two answers to a prompt have different scores. Let {sampled.From} sample more answers, or use finer rewards.",
        SampledSpec { Least: { } least } => $"no answer has a score of {least} or more. Lower least.",
        SampledSpec => "no answer has a score. Look at the rewards, which the notes of that stage speak of.",
        _ => "nobody has voted so. Vote with `polymath label`, or read something else of the votes: what: pairs, judged or edits.",
    };

    private List<IReadOnlyDictionary<string, object>> Of(StageVisit visit, string name, SampledSpec spec)
    {
        var visits = materials.Recipe.Visits().ToList();
        var now = visits.FindIndex(other => other.Name == visit.Name);
        var last = visits.Take(now).ToList().FindLastIndex(other =>
            other.Stage.Name == spec.From && other.Stage.Parts().Any(part => part.SamplesAnswers));
        if (last < 0)
            throw new RunFailedException($"{visit.Name}: data '{name}' is what {spec.From} samples, and {spec.From} was not trained "
                + "before.");
        return
        [
            .. FoldersOf(visits[last]).SelectMany(rollouts => RolloutFiles.ReadAll(rollouts)
                .GroupBy(answer => (answer.Round, answer.Answer.Group))
                .SelectMany(group => Rows(
                    spec, [.. group.Select(answer => answer.Answer).Where(answer => answer.Score is not null)]))),
        ];
    }

    // A term of a mix has a folder of its own.
    private IEnumerable<string> FoldersOf(StageVisit visit)
    {
        var place = graph.PlaceOf(visit);
        return visit.Stage.Objective is MixSpec mix
            ? mix.Terms.Select(term => Path.Combine(place, term.Name, RolloutFiles.Folder))
            : [Path.Combine(place, RolloutFiles.Folder)];
    }

    // What was cut off by its length is never learned as a good answer: its row would end where it was cut.
    private static IEnumerable<IReadOnlyDictionary<string, object>> Rows(SampledSpec spec, List<SampledAnswer> group)
    {
        var best = group.Where(answer => answer.Ended).MaxBy(answer => answer.Score);
        var worst = group.MinBy(answer => answer.Score);
        switch (spec.What)
        {
            case SampledRows.Pairs when best?.Score > worst?.Score:
                yield return VoteRows.Pair(best!.Prompt, best.Answer, worst!.Answer);
                break;
            case SampledRows.Best when best is not null && (spec.Least is null || best.Score >= spec.Least):
                yield return VoteRows.Answer(best.Prompt, best.Answer);
                break;
            case SampledRows.Judged when group.Count > 0:
                var mean = group.Average(answer => answer.Score!.Value);
                foreach (var answer in group)
                    yield return VoteRows.Judged(
                        answer.Prompt,
                        answer.Answer,
                        answer.Ended && (spec.Least is { } least ? answer.Score >= least : answer.Score > mean));
                break;
        }
    }

    private IReadOnlyList<IReadOnlyDictionary<string, object>> Of(VotesSpec spec)
    {
        using var store = VoteStore.Read(Path.GetFullPath(spec.Votes, Path.GetFullPath(materials.BaseFolder)));
        return VoteRows.Of(store, spec.What);
    }
}
