using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;

namespace Polymath.Training.Evaluation;

/// <summary>Measures abilities of several finished stages that answer together.</summary>
/// <param name="materials">The run's data.</param>
public sealed class EnsembleMeter(Materials materials)
{
    private const int RowsAtOnce = 16;

    /// <summary>Finds what a stage of the recipe has left; null before it is finished.</summary>
    public Func<string, FinishedStage?> Finished { get; set; } = _ => null;

    /// <summary>The stage that has just been finished: only what it is a part of is measured; null for any.</summary>
    public string? After { get; set; }

    /// <summary>The stages of an ensemble that are not finished yet.</summary>
    /// <param name="spec">The ensemble.</param>
    public IReadOnlyList<string> Missing(EnsembleAbility spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return [.. spec.Stages.Where(name => IsOwn(name) && Finished(name) is null)];
    }

    /// <summary>Whether an ensemble can be measured now.</summary>
    /// <param name="spec">The ensemble.</param>
    public bool Measures(EnsembleAbility spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return (After is null || spec.Stages.Contains(After)) && Missing(spec).Count == 0;
    }

    /// <summary>The figure of an ensemble.</summary>
    /// <param name="spec">The ensemble.</param>
    /// <param name="stop">Stops between two stages.</param>
    /// <exception cref="InputException">There are no rows, or a stage cannot be asked.</exception>
    public double Measure(EnsembleAbility spec, CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(spec);
        IReadOnlyList<Row> asked = Rows(spec, spec.Split),
            weighed = Ensemble.Weighs(spec.Together) ? Rows(spec, DataSplit.Validation) : [];
        var answers = new Ensemble([.. spec.Stages.Select(name => Member(name, asked, weighed))], spec.Together)
            .Read([.. weighed.Select(row => LabelOf(spec, row))], stop);
        return LabelFigures.Of(spec.Figure, [.. asked.Zip(answers.Together, (row, said) => (
            said.Index().MaxBy(pair => pair.Item).Index,
            Number(answers.Labels, LabelOf(spec, row), row)))]);
    }

    private bool IsOwn(string name) => materials.Recipe.Stages.Any(stage => stage.Name == name);

    private string LabelOf(EnsembleAbility spec, Row row) =>
        row.Fields.GetValueOrDefault(((TaskSpec)materials.Stage(spec.Stages[0]).Objective).Label, "");

    private static int Number(IReadOnlyList<string> labels, string label, Row row)
    {
        for (var i = 0; i < labels.Count; i++)
            if (labels[i] == label) return i;
        throw new InputException($"{row.Name} has the label '{label}', which no training row has. Labels are "
            + $"{string.Join(", ", labels)}.");
    }

    // The rows that an accuracy ability of the first stage has, in the same order.
    private List<Row> Rows(EnsembleAbility spec, DataSplit split)
    {
        var rows = materials.Data(spec.Stages[0]).Rows(split);
        if (rows.Count == 0)
        {
            var part = split.ToString().ToLowerInvariant();
            throw new InputException($"Stage {spec.Stages[0]} has no {part} rows to ask for. Give the data a larger split.{part}.");
        }
        var order = new Permutation(rows.Count, materials.Recipe.Seed, $"abilities of {spec.Stages[0]}", 0);
        return [.. Enumerable.Range(0, Math.Min(spec.Rows, rows.Count)).Select(i => rows[order[i]])];
    }

    private EnsembleMember Member(string name, IReadOnlyList<Row> asked, IReadOnlyList<Row> weighed)
    {
        var own = IsOwn(name);
        // A head of another run reads what one of the recipe reads where nothing is said.
        var text = new FieldText(own ? ((TaskSpec)materials.Stage(name).Objective).Reads : new TaskSpec("").Reads);
        IReadOnlyList<LabelledAnswer> Read(StageLabels stage, IReadOnlyList<Row> rows) => stage.Read(
            [.. rows.Select(row => (row.Name, row.Fields))], text.Fill, RowsAtOnce);
        return new EnsembleMember(
            name,
            () => StageLabels.Open(own ? Finished(name)! : FinishedStage.Named(
                Path.GetFullPath(name, Path.GetFullPath(materials.BaseFolder)))),
            stage => Read(stage, asked),
            stage => Read(stage, weighed));
    }
}
