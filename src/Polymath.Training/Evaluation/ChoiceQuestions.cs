using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Choices;
using Polymath.Text.Packing;

namespace Polymath.Training.Evaluation;

/// <summary>The questions of an ability of the kind <c>choice</c>, with the solved ones before them, and what a model answers.</summary>
internal sealed class ChoiceQuestions
{
    private readonly ChoiceAbility spec;
    private readonly List<(string Question, ChoiceRow Row)> asked = [];

    /// <summary>Reads the questions.</summary>
    /// <param name="spec">What is asked.</param>
    /// <param name="corpora">The data.</param>
    /// <param name="seed">The run's seed, by which rows are drawn.</param>
    /// <exception cref="InputException">A row is no question, or there are too few solved ones.</exception>
    internal ChoiceQuestions(ChoiceAbility spec, Corpora corpora, long seed)
    {
        this.spec = spec;
        var reader = new ChoiceReader(spec);
        List<Row> rows = [.. corpora.Rows(spec.Data).Where(row => spec.Split is null || row.Split == spec.Split)];
        if (rows.Count == 0)
            throw new InputException($"The data {spec.Data} has no {spec.Split!.Value.ToString().ToLowerInvariant()} rows to ask. Name "
                + "another split, or leave it out to ask all rows.");
        var order = new Permutation(rows.Count, seed, $"questions of {spec.Data}", 0);
        List<Row> solved = spec.Shots == 0
            ? []
            : [.. corpora.Rows(spec.ShotsFrom ?? spec.Data).Where(row => row.Split == DataSplit.Train)];
        foreach (var row in Enumerable.Range(0, Math.Min(spec.Rows, rows.Count)).Select(i => rows[order[i]]))
        {
            var read = reader.Read(row);
            asked.Add((read.After(reader.Before(row), [.. Shots(solved, row).Select(reader.Read)]), read));
        }
    }

    // As lm-evaluation-harness does for MMLU, always the first ones, in the order of their file.
    private List<Row> Shots(List<Row> solved, Row row)
    {
        if (spec.Shots == 0) return [];
        var own = solved.Where(other => other.Key != row.Key
            && (spec.ShotsBy is not { } by || other.Fields.GetValueOrDefault(by) == row.Fields.GetValueOrDefault(by)))
            .Take(spec.Shots).ToList();
        if (own.Count == spec.Shots) return own;
        var like = spec.ShotsBy is { } field ? $" with the {field} '{row.Fields.GetValueOrDefault(field)}'" : "";
        throw new InputException($"{row.Name} needs {spec.Shots} solved questions{like} before it, and {spec.ShotsFrom ?? spec.Data} has "
            + $"{own.Count} training rows for that. Lower shots, or give the data split: {{validation: 0, test: 0}}.");
    }

    /// <summary>The likelihoods of all candidates.</summary>
    /// <param name="model">The model.</param>
    /// <param name="alone">Whether candidates are scored without their question, too.</param>
    /// <param name="stop">Stops between two passes.</param>
    internal IReadOnlyList<IReadOnlyList<ChoiceLikelihood>> Likelihoods(TextModel model, bool alone, CancellationToken stop) =>
        new ChoiceMeter(model).Likelihoods([.. asked.Select(one => (one.Question, one.Row.Choices))], alone, stop);

    /// <summary>The share of right answers.</summary>
    /// <param name="likelihoods">The likelihoods of all candidates.</param>
    /// <param name="score">How candidates are compared.</param>
    internal double Accuracy(IReadOnlyList<IReadOnlyList<ChoiceLikelihood>> likelihoods, ChoiceScore score) => asked
        .Select((one, i) => ChoiceMeter.Best(one.Row.Choices, likelihoods[i], score) == one.Row.Answer ? 1.0 : 0)
        .Average();

    /// <summary>The share of right answers that the model writes.</summary>
    /// <param name="model">The model.</param>
    /// <param name="stop">Stops between two tokens.</param>
    internal double Written(TextModel model, CancellationToken stop) => new ChoiceMeter(model).Written(
        [.. asked.Select(one => (one.Question, one.Row.Solution))], spec.MaxNewTokens, stop).Average(right => right ? 1.0 : 0);
}
