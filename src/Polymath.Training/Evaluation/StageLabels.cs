using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tuning;
using Polymath.Tuning.Prompts;

namespace Polymath.Training.Evaluation;

/// <summary>A finished task stage that labels rows: by its prompts, or by its head over labels.</summary>
public sealed class StageLabels : IDisposable
{
    private readonly TextModel model;
    private readonly PromptedLabels? asked;
    private readonly IDisposable owned;

    /// <summary>A stage whose model is open.</summary>
    /// <param name="model">The model.</param>
    /// <param name="place">Its folder, with the stage's task.</param>
    /// <param name="owned">What is freed with it.</param>
    /// <exception cref="InputException">The folder has no task and the model no head over labels.</exception>
    public StageLabels(TextModel model, string place, IDisposable owned)
    {
        ArgumentNullException.ThrowIfNull(model);
        (this.model, this.owned) = (model, owned);
        try
        {
            if (model.Model.Labels is { } head)
            {
                if (head.Task != LabelTask.Classify)
                    throw new InputException($"{place}: the model's head gives no row one label of several, so it cannot answer together "
                        + "with others. Name a stage that classifies.");
                Labels = head.Names;
                return;
            }
            Task = PromptTask.Read(place) ?? throw new InputException($"{place}: the model has no head over labels, and no "
                + $"{PromptTask.FileName} with the prompt of a stage. Name a finished stage of the kind task.");
            if (Task.Spans is not null)
                throw new InputException($"{place}: the stage finds entities in sentences, so it cannot answer together with others. Name "
                    + "a stage that gives a label.");
            Labels = Task.Labels;
            asked = new PromptedLabels(model, Task, place);
        }
        catch
        {
            owned.Dispose();
            throw;
        }
    }

    /// <summary>Opens a finished stage, with the adapter that it kept apart.</summary>
    /// <param name="stage">The stage.</param>
    /// <exception cref="InputException">It is no task stage, or cannot be opened.</exception>
    public static StageLabels Open(FinishedStage stage)
    {
        ArgumentNullException.ThrowIfNull(stage);
        var parts = new Parts();
        try
        {
            var text = TextModel.Open(stage.Model);
            parts.Add(text);
            if (stage.Adapter is { } adapter) parts.Add(AttachedAdapters.Load(text.Model, adapter));
            return new StageLabels(text, stage.Model, parts);
        }
        catch
        {
            parts.Dispose();
            throw;
        }
    }

    /// <summary>The labels, in the stage's order.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>The task that its prompts ask; null for a head over labels.</summary>
    public PromptTask? Task { get; }

    /// <summary>The answers to rows by their fields, or by the text that a head reads.</summary>
    /// <param name="rows">The name of each row in messages, and its fields.</param>
    /// <param name="text">What a head over labels reads of a row.</param>
    /// <param name="rowsAtOnce">How many are read at once.</param>
    public IReadOnlyList<LabelledAnswer> Read(
        IReadOnlyList<(string Name, IReadOnlyDictionary<string, string> Fields)> rows,
        Func<IReadOnlyDictionary<string, string>, string> text,
        int rowsAtOnce)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return asked is null
            ? [.. LabelReader.Read(model, [.. rows.Select(row => text(row.Fields))], rowsAtOnce)]
            : [.. asked.Read(rows, rowsAtOnce).Select(answer => answer.Answer)];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        asked?.Dispose();
        owned.Dispose();
    }

    // Adapters are freed before their model.
    private sealed class Parts : IDisposable
    {
        private readonly Stack<IDisposable> all = new();

        internal void Add(IDisposable part) => all.Push(part);

        public void Dispose()
        {
            while (all.TryPop(out var part)) part.Dispose();
        }
    }
}
