using System.Diagnostics;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Lessons;
using Polymath.Training.Optimizers;
using Polymath.Runs;
using Polymath.Runs.Reports;
using Polymath.Training.Rollouts;
using Polymath.Training.Schedules;

namespace Polymath.Training.Stages;

/// <summary>
/// Runs one visit of a stage: method, objective, items, the loop with its checkpoints and measurements, and the finished model.
/// </summary>
/// <param name="run">The run it belongs to.</param>
/// <param name="visit">The stage and its round.</param>
/// <param name="folder">The stage's folder.</param>
/// <param name="model">The model, changed in place.</param>
/// <param name="stepsBefore">The steps of the earlier stages.</param>
/// <param name="origin">The folder that the model was read from; null for fresh weights.</param>
public sealed class StageRunner(
    Run run,
    StageVisit visit,
    string folder,
    TextModel model,
    int stepsBefore,
    string? origin = null) : IDisposable
{
    private ModelSignature? began;
    private readonly StageSpec stage = visit.Stage;
    private TrainedMethod? method;

    /// <summary>Trains, starting from the last checkpoint.</summary>
    /// <returns>The stage's figures.</returns>
    /// <exception cref="OperationCanceledException">The run was asked to stop; the state is saved.</exception>
    public StageReport Train()
    {
        var batch = stage.Batch ?? new BatchSpec();
        var context = model.Model.Sizes.ContextLength;
        if (batch.MaxLength > context)
            run.Observer.Note($"{visit.Name}: batch.maxLength is {batch.MaxLength:N0}, and the model's context is {context:N0} tokens: "
                + "rows are as long as the context at most");
        batch = batch with { MaxLength = Math.Min(run.Materials.LengthOf(stage), context) };
        began = ModelSignature.Of(model.Model);
        run.Origin.CheckCode();
        run.Origin.CheckModel(run.Materials.BaseModel);
        run.Sources.Give(visit);
        var corpora = run.Materials.Corpora;
        foreach (var name in stage.Sources.Distinct())
            run.Origin.CheckData(corpora.IsMade(name) ? RunOrigin.NameOf(name, visit) : name, corpora.Rows(name));
        method = Attach();
        // A source that samples records its own rounds with the number of the step that needs them.
        var current = 0;
        using var start = stage.Parts().Any(part => part.Objective is AlignSpec { Rollout: not null, Loss.ComparesWithStart: true })
            ? new StartingPolicy(method.Weights)
            : null;
        using var terms = StageTerms.Of(Context(batch, run.Observer) with
        {
            Start = start,
            Record = (name, value, speed) => run.Record(new MetricLine(visit.Name, current, name, value) { TokensPerSecond = speed }),
        });
        if (method.Looks) Look(terms);
        using var optimizer = new OptimizerSet([.. method.Groups(stage.Optimizer), .. terms.Groups(stage.Optimizer)]);
        method.TakeUp(optimizer);
        var progress = new StageProgress(
            run,
            visit,
            folder,
            model,
            method,
            optimizer,
            terms);
        progress.Find();
        var steps = StageLength.Steps(
            stage,
            terms.FirstBatch,
            terms.First,
            progress.State.Step,
            note => run.Observer.Note($"{visit.Name}: {note}"));
        method.Begin(steps);
        progress.Resume(steps);
        run.Observer.StageStarted(
            visit.Name,
            stage.Objective.Kind,
            steps,
            optimizer.Count,
            progress.State.Step);
        run.Begin(visit, folder, steps, terms.Counts);
        var trained = optimizer.Count;
        run.Observer.Note(StageNeeds.Of(
            visit.Name,
            model.Model,
            optimizer,
            steps,
            progress.Settings));
        var loop = new Loop(
            model.Model,
            terms.For(steps),
            optimizer,
            new RateSchedule(stage.Optimizer.Rate, steps, stage.Schedule ?? new ScheduleSpec()),
            run.Peers)
        {
            Balanced = stage.Objective is MixSpec { Balance: TermBalance.Gradients },
            Balance = method.Balance,
            Practice = () => new Practice(method, model.Model, batch.GradientCheckpointing),
        };
        progress.CatchUp();
        while (progress.State.Step < steps && !progress.Ended)
        {
            if (run.Stop.IsCancellationRequested || run.StopAfter <= stepsBefore + progress.State.Step) progress.Pause();
            current = progress.State.Step + 1;
            var started = Stopwatch.GetTimestamp();
            var report = progress.OrPause(() => loop.Step(current, run.Stop));
            progress.Done(report, Stopwatch.GetElapsedTime(started));
        }
        progress.TakeBest();
        var unchanged = progress.Unchanged();
        var gate = method.Finish(
            folder,
            place => model.Contract.Save(place, model.Tokenizer),
            run.Materials.Data(stage.Parts()[0]).HeldOutPrompts(model),
            optimizer: optimizer);
        terms.Save(folder);
        using (method.Aside()) AtomicFile.WriteFolder(Path.Combine(folder, "model"), place => Save(place, terms));
        var state = progress.State;
        return new StageReport(
            visit.Name,
            stage.Objective.Kind,
            method.Name,
            state.Step,
            state.Seconds,
            state.Tokens / Math.Max(state.Seconds, 1e-9),
            state.Tokens,
            trained,
            model.Model.Weights.Sum(weight => weight.Count),
            state.FirstLoss,
            state.LastLoss,
            Process.GetCurrentProcess().PeakWorkingSet64 / 1e6,
            method.Unmerged,
            gate,
            state.HeldOutLoss,
            state.HeldOutSpread,
            terms.Counts is null ? null : terms.First.Epochs,
            unchanged,
            terms.Counts,
            new StageAim(
                stage.Steps,
                stage.Epochs,
                stage.Evaluate?.Patience,
                progress.Ended));
    }

    // The result of reading the data is saved first and loaded again: a resumed stage starts from the same bytes and does not read the data
    // twice.
    private void Look(StageTerms terms)
    {
        run.Observer.Note($"{visit.Name}: {method!.Name} reads the data before the first step");
        method.Look(terms.Look(model.Model, run.Stop), Prepared);
        method.Dispose();
        method = Attach();
    }

    private LessonContext Context(BatchSpec batch, RunObserver observer) => new(
        stage,
        run.Materials,
        model,
        batch,
        visit.Name,
        folder,
        observer);

    private string Prepared => Path.Combine(folder, "prepared");

    private TrainedMethod Attach() => TrainedMethod.Attach(
        model.Model,
        stage.Method ?? new FullMethod(),
        run.Materials.Recipe.Seed,
        visit.Name,
        Prepared,
        text => model.Tokenizer.Encode(text, addSpecialTokens: true),
        run.Graph.AdaptersFor(visit, folder)).For(stage);

    // A stage that keeps its adapter apart does not change the model, so the model's folder is named instead of written again. A rounded
    // base is another model, and so is a model with a fresh head.
    private void Save(string place, StageTerms terms)
    {
        var same = method!.Unmerged && !stage.TrainsHead && model.Model.Unrounded is null && ModelSignature.Of(model.Model) == began;
        if (same && origin is not null) model.SaveOver(place, Path.Combine(folder, "model"), origin, run.Folder);
        else model.Save(place);
        // New texts are labelled later in the same way: polymath classify.
        terms.SaveBeside(place);
    }

    // Dropout and gradient checkpointing apply only while gradients are computed: not to measurements, sampling, or the scores of a
    // reference.
    private sealed class Practice : IDisposable
    {
        private readonly TrainedMethod method;
        private readonly LanguageModel model;

        internal Practice(TrainedMethod method, LanguageModel model, bool gradientCheckpointing)
        {
            (this.method, this.model) = (method, model);
            (method.Training, model.GradientCheckpointing) = (true, gradientCheckpointing);
        }

        public void Dispose() => (method.Training, model.GradientCheckpointing) = (false, false);
    }

    /// <summary>Detaches a delta that was not merged: the next stage starts from the model without it.</summary>
    public void Dispose() => method?.Dispose();
}
