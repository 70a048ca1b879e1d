using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Checkpoints;
using Polymath.Training.Optimizers;
using static TorchSharp.torch;

namespace Polymath.Training.Stages;

/// <summary>
/// How far a visit of a stage has come: what is recorded, measured and saved between its steps, and where a stopped one goes on.
/// </summary>
sealed class StageProgress
{
    private const double Smoothing = 0.9;
    private readonly Run run;
    private readonly StageVisit visit;
    private readonly StageSpec stage;
    private readonly string folder;
    private readonly TextModel model;
    private readonly TrainedMethod method;
    private readonly OptimizerSet optimizer;
    private readonly ItemSource source;
    private readonly Checkpoint saves;
    private int saved;

    /// <summary>A visit before its first step.</summary>
    /// <param name="run">The run it belongs to.</param>
    /// <param name="visit">The stage and its round.</param>
    /// <param name="folder">The stage's folder.</param>
    /// <param name="model">The model.</param>
    /// <param name="method">What is trained of it.</param>
    /// <param name="optimizer">What moves it.</param>
    /// <param name="source">Where the items come from.</param>
    internal StageProgress(
        Run run,
        StageVisit visit,
        string folder,
        TextModel model,
        TrainedMethod method,
        OptimizerSet optimizer,
        ItemSource source)
    {
        (this.run, this.visit, this.folder, this.model, this.method, this.optimizer, this.source) =
            (run, visit, folder, model, method, optimizer, source);
        stage = visit.Stage;
        saves = new Checkpoint(Path.Combine(folder, "checkpoints"), Settings);
    }

    /// <summary>The state after the last step that was done.</summary>
    internal CheckpointState State { get; private set; } = new(
        0,
        default,
        "",
        0,
        0,
        double.NaN,
        double.NaN);

    private CheckpointSettings Settings => stage.Checkpoint ?? new CheckpointSettings();

    /// <summary>Goes back to the newest checkpoint, or begins.</summary>
    internal void Resume()
    {
        saves.CheckSpace(optimizer, model.Model.Weights.Sum(weight => weight.Count * 4));
        if (saves.Newest(run.Observer.Note) is not { } state)
        {
            // Seeded by the stage, so that a stage does not depend on how often a run was begun.
            manual_seed(new Text.RandomStream(run.Materials.Recipe.Seed, visit.Name).Next(int.MaxValue));
            run.Rewind(visit.Name, 0);
            using var fresh = get_rng_state();
            State = State with { TorchRandom = Convert.ToBase64String(fresh.bytes) };
            return;
        }
        saves.Restore(state.Step, optimizer, method.Memory);
        source.Cursor = state.Cursor;
        using var random = tensor(Convert.FromBase64String(state.TorchRandom));
        set_rng_state(random);
        run.Rewind(visit.Name, state.Step);
        (State, saved) = (state, state.Step);
    }

    /// <summary>What a stop cut short is measured before the next step.</summary>
    internal void CatchUp()
    {
        if (!State.Unmeasured) return;
        State = State with { Unmeasured = false };
        Measure(State.Step);
    }

    /// <summary>Does something that a stop may cut short; the state before it is saved then.</summary>
    /// <exception cref="OperationCanceledException">The run was asked to stop.</exception>
    internal T OrPause<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (OperationCanceledException)
        {
            Pause();
            throw;
        }
    }

    /// <summary>Records a step, measures and saves where that is due.</summary>
    /// <param name="report">The step.</param>
    /// <param name="time">How long it took.</param>
    /// <param name="steps">How many steps the stage has.</param>
    /// <exception cref="OperationCanceledException">The run was asked to stop; the state is saved.</exception>
    internal void Done(StepReport report, TimeSpan time, int steps)
    {
        var step = report.Step;
        State = After(report, time);
        run.Record(visit.Name, step, "loss", report.Loss);
        foreach (var (name, value) in report.Metrics) run.Record(visit.Name, step, "train " + name, value);
        run.Observer.StepDone(report, steps, State.Tokens / State.Seconds);
        if (Due(stage.Evaluate?.Every, step) || (step == steps && Settings.Best is not null))
        {
            try
            {
                Measure(step);
            }
            catch (OperationCanceledException)
            {
                State = State with { Unmeasured = true };
                Pause();
            }
        }
        if (Due(Settings.Every, step) || step == steps || State.BestStep == step) Save();
    }

    /// <summary>Goes back to the step that measured best, where the stage asks for it.</summary>
    /// <param name="steps">How many steps the stage has.</param>
    internal void TakeBest(int steps)
    {
        if (State.BestStep is not { } best || best == steps) return;
        if (!saves.Has(best))
            throw new RunFailedException($"The checkpoint of step {best} of {visit.Name}, where {Settings.Best} was best, is missing or "
                + $"damaged. Train this stage again: remove its folder {folder} and give the same command.");
        // The moments too: an adapter that is trained further later then has the moments of the same step.
        saves.Restore(best, optimizer, method.Memory);
        run.Observer.Note($"{visit.Name}: the weights of step {best} are taken, where {Settings.Best} was best ({State.Best:G4}).");
    }

    /// <summary>Saves what is not saved yet, and stops.</summary>
    /// <exception cref="OperationCanceledException">Always.</exception>
    internal void Pause()
    {
        if (State.Step > saved) Save();
        throw new OperationCanceledException($"Stopped after step {State.Step} of {visit.Name}; the state is saved. The same command goes "
            + "on from there.");
    }

    private void Save()
    {
        saves.Save(optimizer, State, method.Memory);
        saved = State.Step;
    }

    private static bool Due(int? every, int step) => every > 0 && step % every == 0;

    private CheckpointState After(StepReport report, TimeSpan time)
    {
        using var random = get_rng_state();
        return State with
        {
            Step = report.Step,
            Cursor = source.Cursor,
            TorchRandom = Convert.ToBase64String(random.bytes),
            Seconds = State.Seconds + time.TotalSeconds,
            Tokens = State.Tokens + report.Tokens,
            FirstLoss = report.Step == 1 ? report.Loss : State.FirstLoss,
            LastLoss = report.Step == 1 ? report.Loss : Smoothing * State.LastLoss + (1 - Smoothing) * report.Loss,
        };
    }

    private void Measure(int step)
    {
        var values = run.Meter.Measure(model, stage.Evaluate?.Abilities ?? [], run.Stop);
        foreach (var (name, value) in values) run.Record(visit.Name, step, name, value);
        run.Observer.Measured(visit.Name, step, values);
        run.Sample(visit, model, step, stage.Evaluate?.Samples ?? 0);
        if (Settings.Best is not { } best || !values.TryGetValue(best, out var found)) return;
        var higher = run.Materials.Recipe.Abilities![best].HigherIsBetter;
        if (State.Best is null || (higher ? found > State.Best : found < State.Best)) State = State with { Best = found, BestStep = step };
    }
}
