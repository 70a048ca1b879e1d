using System.Diagnostics;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Checkpoints;
using Polymath.Training.Optimizers;
using Polymath.Training.Reports;
using Polymath.Training.Schedules;
using static TorchSharp.torch;

namespace Polymath.Training.Stages;

/// <summary>Carries one visit of a stage through: method, objective, items, the loop with its checkpoints and measurements, and the finished model.</summary>
/// <param name="run">The run it belongs to.</param>
/// <param name="visit">The stage and its round.</param>
/// <param name="folder">The stage's folder.</param>
/// <param name="model">The model, changed in place.</param>
/// <param name="stepsBefore">The steps of the stages before.</param>
public sealed class StageRunner(Run run, StageVisit visit, string folder, TextModel model, int stepsBefore) : IDisposable
{
    TrainedMethod? method;
    const double Smoothing = 0.9;
    readonly StageSpec stage = visit.Stage;

    /// <summary>Trains, from where the last checkpoint left off.</summary>
    /// <returns>The stage's figures.</returns>
    /// <exception cref="OperationCanceledException">The run was asked to stop; the state is saved.</exception>
    public StageReport Train()
    {
        var prepared = Path.Combine(folder, "prepared");
        TrainedMethod Attach() => TrainedMethod.Attach(model.Model, stage.Method ?? new FullMethod(), run.Materials.Recipe.Seed, visit.Name, prepared, text => model.Tokenizer.Encode(text, addSpecialTokens: true),
            run.PlacesFor(visit, folder));
        method = Attach();
        var batch = stage.Batch ?? new BatchSpec();
        batch = batch with { MaxLength = Math.Min(run.Materials.LengthOf(stage), model.Model.Sizes.ContextLength) };
        if (method.Looks) Look(batch, prepared, Attach);
        // A source that samples measures its own rounds under the number of the step that needs them.
        var current = 0;
        var (objective, source) = StageParts.Of(stage, run.Materials, model, batch, visit.Name, folder, (name, value) => run.Record(visit.Name, current, name, value), run.Observer);
        var steps = stage.Steps ?? source.StepsFor(stage.Epochs!.Value, batch.Tokens);
        method.Begin(steps);
        using var optimizer = new AdamW(method.Groups(stage.Optimizer));
        method.TakeUp(optimizer);
        var saves = new Checkpoint(Path.Combine(folder, "checkpoints"), stage.Checkpoint ?? new CheckpointSettings());
        var state = Resume(saves, optimizer, source);
        run.Observer.StageStarted(visit.Name, stage.Objective.Kind, steps, optimizer.Count, state.Step);
        var trained = optimizer.Count;
        var loop = new Loop(model.Model, objective, source, optimizer, new RateSchedule(stage.Optimizer.Rate, steps, stage.Schedule ?? new ScheduleSpec()), batch, run.Peers);
        var saved = state.Step;

        if (state.Unmeasured) state = Measure(state with { Unmeasured = false }, state.Step);
        while (state.Step < steps)
        {
            if (run.Stop.IsCancellationRequested || run.StopAfter <= stepsBefore + state.Step) Pause(saves, optimizer, state, saved);
            current = state.Step + 1;
            var started = Stopwatch.GetTimestamp();
            method.Training = true;
            model.Model.GradientCheckpointing = batch.GradientCheckpointing;
            StepReport report;
            try
            {
                report = loop.Step(current, run.Stop);
            }
            catch (OperationCanceledException)
            {
                Pause(saves, optimizer, state, saved);
                throw;
            }
            finally
            {
                model.Model.GradientCheckpointing = false;
            }
            method.Training = false;
            state = After(state, report, source, Stopwatch.GetElapsedTime(started));
            run.Record(visit.Name, current, "loss", report.Loss);
            foreach (var (name, value) in report.Metrics) run.Record(visit.Name, current, "train " + name, value);
            run.Observer.StepDone(report, steps, state.Tokens / state.Seconds);
            try
            {
                if (Due(stage.Evaluate?.Every, current) || (current == steps && stage.Checkpoint?.Best is not null)) state = Measure(state, current);
            }
            catch (OperationCanceledException)
            {
                // What a stop cuts short is measured when the run goes on.
                Pause(saves, optimizer, state with { Unmeasured = true }, saved);
            }
            if (!Due((stage.Checkpoint ?? new CheckpointSettings()).Every, current) && current != steps && state.BestStep != current) continue;
            saves.Save(optimizer, state, method!.Memory);
            saved = current;
        }
        if (state.BestStep is { } best && best != steps)
        {
            if (!saves.Has(best))
                throw new RunFailedException($"The checkpoint of step {best} of {visit.Name}, where {stage.Checkpoint!.Best} was best, is missing or damaged. Train this stage again: remove its folder {folder} and give the same command.");
            // With their moments: an adapter that is gone on with later has those of its own step beside it.
            saves.Restore(best, optimizer, method.Memory);
            run.Observer.Note($"{visit.Name}: the weights of step {best} are taken, where {stage.Checkpoint!.Best} was best ({state.Best:G4}).");
        }
        var gate = method.Finish(folder, place => model.Contract.Save(place, model.Tokenizer), run.Materials.Data(stage.Name).Held(model), optimizer: optimizer);
        using (method.Aside()) AtomicFile.WriteFolder(Path.Combine(folder, "model"), model.Save);
        return new StageReport(
            visit.Name, stage.Objective.Kind, method.Name, steps, state.Seconds, state.Tokens / Math.Max(state.Seconds, 1e-9), state.Tokens, trained,
            model.Model.Weights.Sum(weight => weight.Count), state.FirstLoss, state.LastLoss, Process.GetCurrentProcess().PeakWorkingSet64 / 1e6, method.Unmerged, gate);
    }

    /// <summary>Detaches a delta that was not merged: what comes next starts from the model without it.</summary>
    public void Dispose() => method?.Dispose();

    // What was seen is written down first and read again: a resumed stage starts from the same bytes and does not look twice.
    void Look(BatchSpec batch, string prepared, Func<TrainedMethod> attach)
    {
        run.Observer.Note($"{visit.Name}: {method!.Name} looks at the data before the first step");
        // The training begins with a source of its own, and keeps its own records.
        var (objective, source) = StageParts.Of(stage, run.Materials, model, batch, visit.Name, folder, (_, _) => { }, new Unseen());
        method.Look(FirstLook.Losses(model.Model, objective, source, run.Stop), prepared);
        method.Dispose();
        method = attach();
    }

    sealed class Unseen : RunObserver;

    static bool Due(int? every, int step) => every > 0 && step % every == 0;

    CheckpointState Resume(Checkpoint saves, AdamW optimizer, ItemSource source)
    {
        saves.CheckSpace(optimizer, model.Model.Weights.Sum(weight => weight.Count * 4));
        var state = saves.Newest(run.Observer.Note);
        if (state is null)
        {
            // Seeded by the stage, so that a stage does not depend on how often a run was begun.
            manual_seed(new Text.RandomStream(run.Materials.Recipe.Seed, visit.Name).Next(int.MaxValue));
            run.Rewind(visit.Name, 0);
            using var fresh = get_rng_state();
            return new CheckpointState(0, default, Convert.ToBase64String(fresh.bytes), 0, 0, double.NaN, double.NaN);
        }
        saves.Restore(state.Step, optimizer, method!.Memory);
        source.Cursor = state.Cursor;
        using var random = tensor(Convert.FromBase64String(state.TorchRandom));
        set_rng_state(random);
        run.Rewind(visit.Name, state.Step);
        return state;
    }

    static CheckpointState After(CheckpointState state, StepReport report, ItemSource source, TimeSpan time)
    {
        using var random = get_rng_state();
        return state with
        {
            Step = report.Step,
            Cursor = source.Cursor,
            TorchRandom = Convert.ToBase64String(random.bytes),
            Seconds = state.Seconds + time.TotalSeconds,
            Tokens = state.Tokens + report.Tokens,
            FirstLoss = report.Step == 1 ? report.Loss : state.FirstLoss,
            LastLoss = report.Step == 1 ? report.Loss : Smoothing * state.LastLoss + (1 - Smoothing) * report.Loss,
        };
    }

    CheckpointState Measure(CheckpointState state, int step)
    {
        var values = run.Meter.Measure(model, stage.Evaluate?.Abilities ?? [], run.Stop);
        foreach (var (name, value) in values) run.Record(visit.Name, step, name, value);
        run.Observer.Measured(visit.Name, step, values);
        run.Sample(visit, model, step, stage.Evaluate?.Samples ?? 0);
        if (stage.Checkpoint?.Best is not { } best || !values.TryGetValue(best, out var found)) return state;
        var higher = run.Materials.Recipe.Abilities![best].HigherIsBetter;
        return state.Best is null || (higher ? found > state.Best : found < state.Best) ? state with { Best = found, BestStep = step } : state;
    }

    void Pause(Checkpoint saves, AdamW optimizer, CheckpointState state, int saved)
    {
        if (state.Step > saved) saves.Save(optimizer, state, method!.Memory);
        throw new OperationCanceledException($"Stopped after step {state.Step} of {visit.Name}; the state is saved. The same command goes on from there.");
    }
}
