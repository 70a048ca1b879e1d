using Polymath.Distributed;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using Polymath.Training.Schedules;
using Polymath.Tuning.Prompts;
using static TorchSharp.torch;

namespace Polymath.Training.Searches;

/// <summary>How a model is trained for each candidate before it is scored.</summary>
/// <param name="Steps">The steps.</param>
/// <param name="Rate">The learning rate of AdamW at its peak; it falls as a stage's.</param>
/// <param name="Rows">The rows of a step.</param>
public sealed record TuneSettings(int Steps, double Rate, int Rows);

/// <summary>
/// Trains every weight of the model by a candidate on the rows for finding, as LM-BFF does before it compares candidates (Gao et al. 2021,
/// section 5), and gives the model its weights back: what a candidate is does not depend on those before it.
/// </summary>
internal sealed class CandidateTuning : IDisposable
{
    private readonly SearchTask task;
    private readonly TuneSettings settings;
    private readonly long seed;
    private readonly IReadOnlyList<Weight> weights;
    private readonly List<Tensor> before = [];

    /// <summary>Keeps the weights.</summary>
    /// <param name="task">What is searched; its model is trained.</param>
    /// <param name="settings">How.</param>
    /// <param name="seed">The run's seed, by which rows are ordered.</param>
    internal CandidateTuning(SearchTask task, TuneSettings settings, long seed)
    {
        (this.task, this.settings, this.seed, weights) = (task, settings, seed, task.Model.Model.Weights);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        foreach (var weight in weights) before.Add(weight.Value.clone().DetachFromDisposeScope());
    }

    /// <summary>What is measured of the model after it was trained by a candidate.</summary>
    /// <param name="template">The template.</param>
    /// <param name="words">The words of each label.</param>
    /// <param name="measured">Measures.</param>
    /// <param name="stop">Stops between two steps.</param>
    internal SearchCandidate After(
        string template,
        IReadOnlyDictionary<string, IReadOnlyList<string>> words,
        Func<SearchCandidate> measured,
        CancellationToken stop)
    {
        try
        {
            foreach (var weight in weights) weight.Trainable = true;
            Learn(template, words, stop);
            foreach (var weight in weights) weight.Trainable = false;
            return measured();
        }
        finally
        {
            using var frozen = no_grad();
            foreach (var (weight, kept) in weights.Zip(before))
            {
                weight.Trainable = false;
                weight.Value.copy_(kept);
            }
        }
    }

    private void Learn(string template, IReadOnlyDictionary<string, IReadOnlyList<string>> words, CancellationToken stop)
    {
        var model = task.Model.Model;
        using var asked = AskedTask.Fresh(
            task.Model,
            new PromptTask(task.Labels, "", [new TaskPrompt(template, TaskVerbalizer.Of(new WordsSpec(words)), task.Cut)]),
            (ulong)seed);
        List<Item> items =
            [.. task.Train.Select(row => new LabelItem(asked.Rows(row.Name, row.Fields, task.Most), task.NumberOf(row)))];
        using var optimizer = new OptimizerSet(weights, new AdamwSpec(settings.Rate));
        using var peers = new Solo();
        var source = new CorpusItems(items, seed, "rows of candidates");
        var loop = new Loop(
            model,
            [new Term(new AskedLabels(asked.Learned), source, new BatchSpec(Rows: settings.Rows))],
            optimizer,
            new RateSchedule(settings.Rate, settings.Steps, new ScheduleSpec()),
            peers);
        for (var step = 1; step <= settings.Steps; step++)
        {
            stop.ThrowIfCancellationRequested();
            loop.Step(step, stop);
        }
    }

    /// <summary>Frees the kept weights.</summary>
    public void Dispose() => before.ForEach(kept => kept.Dispose());
}
