using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs;
using Polymath.Training.Checkpoints;
using Polymath.Training.Optimizers;
using static TorchSharp.torch;

namespace Polymath.Training.Stages;

/// <summary>
/// The progress of a visit of a stage: what is recorded, measured and saved between its steps, and where a stopped stage continues.
/// </summary>
internal sealed class StageProgress
{
    private const int MostRecent = 10;
    private readonly Run run;
    private readonly StageVisit visit;
    private readonly StageSpec stage;
    private readonly string folder;
    private readonly TextModel model;
    private readonly TrainedMethod method;
    private readonly OptimizerSet optimizer;
    private readonly StageTerms terms;
    private readonly bool hasHeldOut;
    private readonly Checkpoint saves;
    private readonly StopRules rules;
    private CheckpointState? newest;
    private int steps;
    private int saved;

    /// <summary>A visit before its first step.</summary>
    /// <param name="run">The run it belongs to.</param>
    /// <param name="visit">The stage and its round.</param>
    /// <param name="folder">The stage's folder.</param>
    /// <param name="model">The model.</param>
    /// <param name="method">The method, which selects what is trained.</param>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="terms">What is learned, and what is held out.</param>
    /// <exception cref="InputException">The held-out loss is to decide, and there are no validation rows.</exception>
    internal StageProgress(
        Run run,
        StageVisit visit,
        string folder,
        TextModel model,
        TrainedMethod method,
        OptimizerSet optimizer,
        StageTerms terms)
    {
        (this.run, this.visit, this.folder, this.model, this.method, this.optimizer, this.terms) =
            (run, visit, folder, model, method, optimizer, terms);
        stage = visit.Stage;
        rules = new StopRules(stage);
        hasHeldOut = terms.HasHeldOut;
        if (!hasHeldOut && Decides == EvaluateSpec.HeldOutLoss)
            throw new InputException($"Stage {stage.Name}: the held-out loss is to decide (checkpoint.best, evaluate.patience), and there "
                + "are no validation rows. Give the data a split.validation or validation files, or let an ability decide.");
        saves = new Checkpoint(Path.Combine(folder, "checkpoints"), Settings);
    }

    /// <summary>The state after the last finished step.</summary>
    internal CheckpointState State { get; private set; } = new(
        0,
        [],
        "",
        0,
        0,
        double.NaN,
        []);

    /// <summary>What is saved and kept; patience keeps the best weights, too.</summary>
    internal CheckpointSettings Settings => (stage.Checkpoint ?? new CheckpointSettings()) with { Best = Decides };

    private EvaluateSpec Evaluation => stage.Evaluate ?? new EvaluateSpec();

    // The figure that chooses the best weights.
    private string? Decides => stage.Checkpoint?.Best ?? (Evaluation.Patience is null ? null : EvaluateSpec.HeldOutLoss);

    /// <summary>Whether the stage ends before its last step: nothing got better for so long, or a figure has gone wrong.</summary>
    internal bool Ended => Halted is not null || (Evaluation.Patience is { } patience && State.Stale >= patience);

    private StopRule? Halted => rules.Broken(State.Breaches);

    /// <summary>Looks for the newest checkpoint: where the stage is, before anything of it is restored.</summary>
    internal void Find()
    {
        newest = saves.Newest(run.Observer.Note);
        // A finished stage would begin again, and what it had learned would be lost.
        if (newest is null && File.Exists(Path.Combine(folder, "report.json")))
            throw new InputException($"Stage {stage.Name} is finished and is to go on, and there is no checkpoint to go on from in "
                + $"{Path.Combine(folder, "checkpoints")}. Add a stage that starts from its model, or start again with --fresh.");
        if (newest is null) return;
        State = newest;
        terms.Cursors = newest.Cursors;
        terms.Memory = newest.Memory ?? [];
        // What was best by another figure says nothing of this one.
        if (State.Figure != Decides) State = State with { Figure = Decides, Best = null, BestStep = null, Stale = 0 };
    }

    /// <summary>Restores the checkpoint that was found, or starts from the beginning.</summary>
    /// <param name="all">How many steps the stage has.</param>
    internal void Resume(int all)
    {
        steps = all;
        saves.CheckSpace(optimizer, model.Model.Weights.Sum(weight => weight.Count * 4));
        if (newest is not { } state)
        {
            // The seed comes from the stage, so that a stage does not depend on how often the run was started.
            manual_seed(new Text.RandomStream(run.Materials.Recipe.Seed, visit.Name).Next(int.MaxValue));
            run.Rewind(visit.Name, 0);
            using var fresh = get_rng_state();
            State = State with { TorchRandom = Convert.ToBase64String(fresh.bytes), Began = Print(), Figure = Decides };
            return;
        }
        saves.Restore(state.Step, optimizer, method.Memory);
        using var random = tensor(Convert.FromBase64String(state.TorchRandom));
        set_rng_state(random);
        run.Rewind(visit.Name, state.Step, measured: !state.Unmeasured);
        saved = state.Step;
    }

    /// <summary>Makes a measurement that was interrupted by a stop, before the next step.</summary>
    internal void CatchUp()
    {
        if (!State.Unmeasured) return;
        State = State with { Unmeasured = false };
        Measure(State.Step, MeasuresAbilities(State.Step));
    }

    /// <summary>Runs work that a stop may interrupt; the state before it is saved then.</summary>
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

    /// <summary>Records a step; measures and saves when that is due.</summary>
    /// <param name="report">The step.</param>
    /// <param name="time">How long it took.</param>
    /// <exception cref="OperationCanceledException">The run was asked to stop; the state is saved.</exception>
    internal void Done(StepReport report, TimeSpan time)
    {
        var step = report.Step;
        State = After(report, time);
        Record(report, time);
        foreach (var (name, value) in report.Metrics) run.Record(visit.Name, step, "train " + name, value);
        run.Observer.StepDone(report, steps, State.Tokens / State.Seconds);
        var abilities = MeasuresAbilities(step);
        if (abilities || (hasHeldOut && (Due(Evaluation.EveryOf(steps), step) || step == steps)))
        {
            try
            {
                Measure(step, abilities);
            }
            catch (OperationCanceledException)
            {
                State = State with { Unmeasured = true };
                Pause();
            }
        }
        // What has gone wrong is not saved: it would take the place of what is whole.
        if (Halted is { } rule)
        {
            var side = rule.Above ? "above" : "below";
            run.Observer.Note(
                $"{visit.Name}: ends after step {step}: {rule.Figure} was {side} {rule.Bound} for {rule.Steps} steps.");
            return;
        }
        if (Due(Settings.Every, step) || step == steps || State.BestStep == step || Ended) Save();
        if (Ended)
            run.Observer.Note($"{visit.Name}: ends after step {step}: {Decides} got no better in {State.Stale} measurements.");
    }

    private bool MeasuresAbilities(int step) =>
        Due(stage.Evaluate?.Every, step) || (step == steps && Decides is not (null or EvaluateSpec.HeldOutLoss));

    private void Record(StepReport report, TimeSpan time) => run.Record(new MetricLine(visit.Name, report.Step, "loss", report.Loss)
    {
        Epoch = Math.Round(terms.First.Epochs, 6),
        Rate = report.Rate,
        GradientNorm = report.GradientNorm,
        Tokens = report.Tokens,
        TokensPerSecond = Math.Round(report.Tokens / Math.Max((time - report.Prepared).TotalSeconds, 1e-9), 1),
        MemoryMegabytes = Math.Round(Environment.WorkingSet / 1e6, 1),
    });

    /// <summary>Whether the trained weights are what they were before the first step; then that is told.</summary>
    internal bool Unchanged()
    {
        var same = State.Began.Length > 0 && State.Began == Print();
        if (same)
            run.Observer.Note($"{visit.Name}: the weights are what they were before: nothing was learned. Raise optimizer.rate, or look at "
                + "the rows.");
        return same;
    }

    private string Print() => WeightPrint.Of(optimizer.Groups.SelectMany(group => group.Weights));

    /// <summary>Restores the step with the best measurement, when the stage asks for it.</summary>
    internal void TakeBest()
    {
        if (Halted is { } rule)
        {
            var healthy = rules.Healthy(
                rule,
                State.Step,
                Settings.Every,
                saves);
            saves.Restore(healthy, optimizer, method.Memory);
            run.Observer.Note($"{visit.Name}: the weights of step {healthy} are used, from before {rule.Figure} went wrong.");
            if (hasHeldOut) MeasureHeldOut();
            return;
        }
        if (State.BestStep is not { } best || best == State.Step) return;
        if (!saves.Has(best))
            throw new RunFailedException($"The checkpoint of step {best} of {visit.Name}, where {Decides} was best, is missing or "
                + $"damaged. Train this stage again: remove its folder {folder} and give the same command.");
        // The moments are restored, too, so that an adapter that is trained further later has the moments of the same step.
        saves.Restore(best, optimizer, method.Memory);
        run.Observer.Note($"{visit.Name}: the weights of step {best} are used, where {Decides} was best ({State.Best:G4}).");
        if (hasHeldOut) MeasureHeldOut();
    }

    /// <summary>Saves the state unless it is already saved, and stops.</summary>
    /// <exception cref="OperationCanceledException">Always.</exception>
    internal void Pause()
    {
        if (State.Step > saved) Save();
        throw new OperationCanceledException($"Stopped after step {State.Step} of {visit.Name}; the state is saved. The same command "
            + "continues from there.");
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
            Cursors = terms.Cursors,
            Breaches = rules.After(State.Breaches, report),
            Memory = terms.Memory.Any(own => own.Count > 0) ? terms.Memory : null,
            TorchRandom = Convert.ToBase64String(random.bytes),
            Seconds = State.Seconds + time.TotalSeconds,
            Tokens = State.Tokens + report.Tokens,
            FirstLoss = report.Step == 1 ? report.Loss : State.FirstLoss,
            Recent = [.. State.Recent.Append(report.Loss).TakeLast(Math.Clamp(steps / 10, 1, MostRecent))],
        };
    }

    private void Measure(int step, bool abilities)
    {
        // Written down when all is measured: a stop in between leaves nothing behind.
        var values = new Dictionary<string, double>();
        if (hasHeldOut)
        {
            foreach (var (name, value) in MeasureHeldOut()) values[name] = value;
            values[EvaluateSpec.HeldOutLoss] = State.HeldOutLoss!.Value;
        }
        if (abilities)
            foreach (var (name, value) in run.Meter.Measure(model, Evaluation.Abilities ?? [], run.Stop)) values[name] = value;
        foreach (var (name, value) in values)
        {
            var spread = name == EvaluateSpec.HeldOutLoss && double.IsFinite(State.HeldOutSpread!.Value) ? State.HeldOutSpread : null;
            run.Record(
                visit.Name,
                step,
                name,
                value,
                spread);
        }
        run.Observer.Measured(visit.Name, step, values);
        if (abilities) run.Sample(visit, model, step, stage.Evaluate?.Samples ?? 0);
        Compare(step, values);
        run.Show(step);
    }

    // The losses of a mix's terms, by their names.
    private IReadOnlyDictionary<string, double> MeasureHeldOut()
    {
        var (mean, spread, own) = terms.HeldOut(model.Model, steps, run.Stop);
        State = State with { HeldOutLoss = mean, HeldOutSpread = spread };
        return own;
    }

    private void Compare(int step, Dictionary<string, double> values)
    {
        if (Decides is not { } figure || !values.TryGetValue(figure, out var found)) return;
        var higher = figure != EvaluateSpec.HeldOutLoss && run.Materials.Recipe.Abilities![figure].HigherIsBetter;
        State = State.Compared(found, step, higher, Evaluation.MinimumChange);
    }
}
