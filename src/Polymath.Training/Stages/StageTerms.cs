using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Training.Evaluation;
using Polymath.Training.Lessons;
using Polymath.Training.Optimizers;
using TorchSharp;

namespace Polymath.Training.Stages;

/// <summary>What a visit of a stage learns in each step: one lesson, or the terms of a mix.</summary>
internal sealed class StageTerms : IDisposable
{
    private readonly List<(StageSpec Stage, Lesson Lesson, BatchSpec Batch, string Name)> parts = [];
    private readonly IReadOnlyList<TermSpec>? mixed;

    private StageTerms(StageSpec stage) => mixed = (stage.Objective as MixSpec)?.Terms;

    /// <summary>The terms of a stage; how many items a step takes of each is decided here.</summary>
    /// <param name="context">What the lessons are made from; its stage is the whole one.</param>
    /// <exception cref="InputException">The model cannot learn one, or its rows do not suit it.</exception>
    internal static StageTerms Of(LessonContext context)
    {
        var terms = new StageTerms(context.Stage);
        foreach (var part in context.Stage.Parts())
        {
            var name = terms.mixed is null ? "" : part.Name[(context.Stage.Name.Length + 1)..];
            var visit = name.Length == 0 ? context.Visit : $"{context.Visit}.{name}";
            var own = context with
            {
                Stage = part,
                Visit = visit,
                Folder = name.Length == 0 ? context.Folder : Path.Combine(context.Folder, name),
                Batch = (part.Batch ?? new BatchSpec()) with
                {
                    MaxLength = Math.Min(part.Batch?.MaxLength ?? int.MaxValue, context.Batch.MaxLength!.Value),
                },
            };
            if (name.Length > 0) own = own with { Record = (figure, value, speed) => context.Record($"{name} {figure}", value, speed) };
            var lesson = StageLessons.Of(own);
            terms.parts.Add((part, lesson, StageLength.Sized(own.Batch, lesson.Source, own.Note), name));
        }
        return terms;
    }

    /// <summary>The terms for the loop.</summary>
    /// <param name="steps">The stage's steps, over which weights change.</param>
    internal IReadOnlyList<Term> For(int steps) =>
    [
        .. parts.Select((part, t) => new Term(
            part.Lesson.Objective,
            part.Lesson.Source,
            part.Batch,
            part.Name,
            mixed?[t].Weight is { } weight ? step => weight.At(step, steps) : null)),
    ];

    /// <summary>The groups of weights that are trained besides those of the stage's method.</summary>
    /// <param name="spec">How they move.</param>
    internal IEnumerable<WeightGroup> Groups(OptimizerSpec spec) => parts.Where(part => part.Lesson.Weights.Count > 0)
        .Select(part => new WeightGroup(
            part.Name.Length == 0 ? part.Lesson.WeightsName : $"{part.Name}.{part.Lesson.WeightsName}",
            part.Lesson.Weights,
            part.Lesson.Rate is { } rate ? spec with { Rate = rate } : spec)
        {
            IsHiddenMatrix = part.Lesson.WeightsAreMaps ? HiddenMatrices.IsMatrix : _ => false,
        });

    /// <summary>Writes what belongs beside the stage's model; of a mix, that of its only task.</summary>
    /// <param name="place">The model's folder.</param>
    internal void SaveBeside(string place)
    {
        if (parts.Where(part => part.Lesson.Beside is not null).ToList() is [var one]) one.Lesson.Beside!(place);
    }

    /// <summary>Writes what those weights have learned.</summary>
    /// <param name="folder">The stage's folder.</param>
    internal void Save(string folder)
    {
        foreach (var part in parts) part.Lesson.Save?.Invoke(Path.Combine(folder, part.Name));
    }

    /// <summary>What the formulas remember between steps, a dictionary for each term.</summary>
    internal IReadOnlyList<IReadOnlyDictionary<string, double>> Memory
    {
        get => [.. parts.Select(part => part.Lesson.Objective.Memory)];
        set
        {
            foreach (var (part, memory) in parts.Zip(value)) part.Lesson.Objective.Memory = memory;
        }
    }

    /// <summary>Frees what the lessons have opened.</summary>
    public void Dispose()
    {
        foreach (var part in parts) part.Lesson.Dispose();
    }

    /// <summary>The source that epochs are counted by: that of the first term.</summary>
    internal ItemSource First => parts[0].Lesson.Source;

    /// <summary>How many items a step takes of the first term.</summary>
    internal BatchSpec FirstBatch => parts[0].Batch;

    /// <summary>The place of each term's next item.</summary>
    internal IReadOnlyList<Cursor> Cursors
    {
        get => [.. parts.Select(part => part.Lesson.Source.Cursor)];
        set
        {
            foreach (var (part, cursor) in parts.Zip(value))
            {
                // Accepted data may have fewer rows than there were.
                var (source, count) = (part.Lesson.Source, part.Lesson.Source.Count);
                source.Cursor = count > 0 && cursor.Place >= count ? new Cursor(cursor.Epoch + 1, 0) : cursor;
            }
        }
    }

    /// <summary>What became of the rows; null where every term samples its own.</summary>
    internal RowCounts? Counts
    {
        get
        {
            var known = parts.Where(part => part.Lesson.Counts is not null)
                .Select(part => (part.Name, Counts: part.Lesson.Counts!)).ToList();
            if (known.Count == 0) return null;
            if (mixed is null) return known[0].Counts;
            return new RowCounts(
                known.Sum(one => one.Counts.Rows),
                known.Sum(one => one.Counts.Tokens),
                known.Sum(one => one.Counts.Targets),
                [.. known.SelectMany(one => one.Counts.Changed.Select(change => change with { What = $"{one.Name}: {change.What}" }))]);
        }
    }

    /// <summary>Whether a term has rows that are only measured.</summary>
    internal bool HasHeldOut => parts.Any(part => part.Lesson.HeldOut.Count > 0);

    /// <summary>
    /// The mean loss of the held-out rows, with its standard error: for a mix, the sum of the terms' losses by their weights at the end of
    /// the stage.
    /// </summary>
    /// <param name="model">The model as it is, without dropout.</param>
    /// <param name="steps">The stage's steps.</param>
    /// <param name="stop">Stops between two groups of rows.</param>
    /// <returns>The loss, its spread, and for a mix each term's own loss.</returns>
    internal (double Mean, double Spread, IReadOnlyDictionary<string, double> Own) HeldOut(
        LanguageModel model,
        int steps,
        CancellationToken stop)
    {
        double mean = 0, square = 0;
        var own = new Dictionary<string, double>();
        for (var t = 0; t < parts.Count; t++)
        {
            if (parts[t].Lesson.HeldOut.Count == 0) continue;
            var found = new HeldOutLoss(parts[t].Lesson.Objective, parts[t].Lesson.HeldOut).Measure(model, stop);
            if (mixed is null) return (found.Mean, found.Spread, own);
            var weight = mixed[t].Weight?.At(steps, steps) ?? 1;
            own[$"{parts[t].Name} {EvaluateSpec.HeldOutLoss}"] = found.Mean;
            (mean, square) = (mean + (weight * found.Mean), square + Math.Pow(weight * found.Spread, 2));
        }
        return (mean, Math.Sqrt(square), own);
    }

    /// <summary>The mean loss of each item of a pass over all terms, one at a time, for methods that read data before they train.</summary>
    /// <param name="model">The model.</param>
    /// <param name="stop">Stops between two items.</param>
    internal IEnumerable<torch.Tensor> Look(LanguageModel model, CancellationToken stop) => parts.SelectMany(part => FirstLook.Losses(
        model,
        part.Lesson.Objective,
        part.Lesson.Source,
        stop));
}
