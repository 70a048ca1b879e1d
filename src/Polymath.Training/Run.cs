using Polymath.Distributed;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Hubs;
using Polymath.Training.Evaluation;
using Polymath.Runs.Reports;
using Polymath.Runs;
using Polymath.Training.Stages;
using Polymath.Tuning.Prompts;

namespace Polymath.Training;

/// <summary>One run: the parts of a recipe, the run's folder, and the order of the stages. Finished stages are not trained again.</summary>
public sealed class Run : IDisposable
{
    private readonly RunFolder folder;
    private readonly RunReporter reporter;
    private readonly StageGraph graph;
    private readonly CancellationTokenSource stop = new();

    private Run(
        Materials materials,
        RunFolder folder,
        RunObserver observer,
        int? stopAfter,
        RunOrigin origin)
    {
        (Materials, this.folder, Observer, StopAfter, Origin) = (materials, folder, observer, stopAfter, origin);
        Meter = new AbilityMeter(materials);
        reporter = new RunReporter(materials, folder);
        graph = new StageGraph(materials, folder, observer);
        Sources = new MadeSources(materials, graph, folder);
        materials.Rewards.Run = folder.Path;
        materials.Asked.Finished = FinishedTask;
        Meter.Ensembles.Finished = Finished;
    }

    /// <summary>The data, the tokenizer and the layout.</summary>
    public Materials Materials { get; }

    /// <summary>Measures abilities.</summary>
    public AbilityMeter Meter { get; }

    /// <summary>What may be accepted though it has changed since a run began.</summary>
    public static IReadOnlyList<string> Acceptable => RunOrigin.Names;

    /// <summary>What the run began with.</summary>
    internal RunOrigin Origin { get; }

    /// <summary>Makes the sources that come from earlier stages or from votes.</summary>
    internal MadeSources Sources { get; }

    /// <summary>Receives the events of the run.</summary>
    public RunObserver Observer { get; }

    /// <summary>The processes that train together.</summary>
    public Peers Peers { get; } = new Solo();

    /// <summary>The number of steps, over all stages, after which the run stops; null for none.</summary>
    public int? StopAfter { get; }

    /// <summary>Requests a stop.</summary>
    public CancellationToken Stop => stop.Token;

    /// <summary>Opens or resumes a run.</summary>
    /// <param name="reading">The recipe, read without faults.</param>
    /// <param name="path">The run's folder.</param>
    /// <param name="fresh">Whether to start again from the beginning.</param>
    /// <param name="stopAfter">The steps after which to stop, or null.</param>
    /// <param name="observer">Receives the events of the run.</param>
    /// <param name="accept">What may have changed since the run began: <c>data</c>, <c>model</c>, <c>code</c>, <c>threads</c>.</param>
    /// <param name="open">Opens the hubs with the commits of an earlier run; configured by the environment when left out.</param>
    public static Run Open(
        RecipeReading reading,
        string path,
        bool fresh,
        int? stopAfter,
        RunObserver observer,
        Func<HubPins, Hub>? open = null,
        IReadOnlyCollection<string>? accept = null)
    {
        ArgumentNullException.ThrowIfNull(reading);
        var recipe = reading.OrThrow();
        MethodChecks.Check(recipe);
        var folder = RunFolder.Open(path, reading.Resolved, fresh);
        try
        {
            foreach (var change in folder.Changes)
                observer.Note($"Changed since the run was here last: {change.Told()}");
            var origin = RunOrigin.Open(folder.File(Surroundings.File), reading.BaseFolder, accept ?? [], observer);
            var pins = new HubPins(Surroundings.Pins(folder.Path), origin.Pin);
            origin.Pin(pins.Commits);
            var hub = open?.Invoke(pins) ?? new Hub(HubSettings.FromEnvironment(), pins);
            var materials = Materials.Gather(
                recipe,
                reading.BaseFolder,
                folder.File("tokenizer"),
                observer,
                hub);
            materials.Corpora.Fetch();
            return new Run(
                materials,
                folder,
                observer,
                stopAfter,
                origin);
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    // The model of the last finished visit of a stage, or of the stage that has a term of this name, with a task beside it.
    private string? FinishedTask(string name) => FinishedPlaces(Materials.Recipe.OwnerOf(name))
        .Select(place => System.IO.Path.Combine(place, "model"))
        .LastOrDefault(model => File.Exists(System.IO.Path.Combine(model, PromptTask.FileName)));

    private IEnumerable<string> FinishedPlaces(string? stage) => Materials.Recipe.Visits().Index()
        .Where(visit => visit.Item.Stage.Name == stage).Select(visit => folder.Stage(visit.Index, visit.Item.Name))
        .Where(place => StageRecord.Read(place)?.Report is not null);

    // The stage that is being measured has left its model, and no record yet.
    private (string Name, FinishedStage Left)? measured;

    private FinishedStage? Finished(string stage)
    {
        if (measured is { } now && now.Name == stage) return now.Left;
        return FinishedPlaces(stage).LastOrDefault() is { } found
            ? FinishedStage.In(found, StageRecord.Read(found)!.Report!.Unmerged)
            : null;
    }

    /// <summary>Which model each visit starts from.</summary>
    internal StageGraph Graph => graph;

    /// <summary>The run's folder.</summary>
    internal string Folder => folder.Path;

    /// <summary>Asks the run to save and stop after the current step.</summary>
    public void RequestStop() => stop.Cancel();

    /// <summary>Measures only the abilities before the first stage, unless they are already measured.</summary>
    public void MeasureStart()
    {
        var start = folder.Stage(-1, "start");
        if (StageRecord.Read(start) is not null) return;
        using var model = Materials.NewModel();
        Keep(start, null, "start", model);
    }

    /// <summary>Trains all stages and writes the report.</summary>
    /// <exception cref="OperationCanceledException">The run was asked to stop; the state is saved.</exception>
    public RunReport Go()
    {
        try
        {
            folder.Tell(RunPhase.Running);
            Train();
            Observer.Progress("Writing the report", 0, 0);
            var report = reporter.Write();
            folder.Tell(RunPhase.Finished);
            return report;
        }
        catch (OperationCanceledException e)
        {
            folder.Tell(RunPhase.Stopped, reporter.Live?.Name, e.Message);
            throw;
        }
        catch (Exception e)
        {
            Fail(e);
            throw;
        }
    }

    private void Train()
    {
        TextModel? model = null;
        try
        {
            var start = folder.Stage(-1, "start");
            reporter.Add(StageRecord.Read(start) ?? Keep(start, null, "start", model = Materials.NewModel()));
            var before = 0;
            var visits = Materials.Recipe.Visits();
            Plan(visits);
            foreach (var visit in visits)
            {
                // A visit that does not reach what it must may be trained again.
                StageRecord record;
                do record = Visit(visit, visit == visits[0], before, ref model);
                while (!graph.Passes(visit));
                reporter.Add(record);
                reporter.WriteLive();
                before += record.Report!.Steps;
            }
        }
        finally
        {
            model?.Dispose();
        }
    }

    // Trains a visit unless it is finished. It starts from the model on the disk, so that a resumed run and an uninterrupted one read the
    // same bytes.
    private StageRecord Visit(
        StageVisit visit,
        bool first,
        int before,
        ref TextModel? model)
    {
        var place = graph.PlaceOf(visit);
        if (StageRecord.Read(place) is { } done && !StageExtension.Asked(visit.Stage, done.Report!, Observer)) return done;
        model?.Dispose();
        model = null;
        var origin = graph.OriginOf(visit);
        model = origin is null ? Materials.NewModel(visit.Stage) : Materials.OpenModel(origin, visit.Stage);
        if (first)
            foreach (var note in model.Model.Notes) Observer.Note(note);
        // An unmerged delta stays attached while the stage's abilities are measured.
        using var runner = new StageRunner(
            this,
            graph.Trained(visit),
            place,
            model,
            before,
            origin);
        var report = runner.Train();
        var record = Keep(
            place,
            report,
            visit.Name,
            model,
            visit);
        Origin.Lineage(
            visit,
            graph.ParentOf(visit)?.Name ?? origin,
            report,
            Materials.Recipe.Rewards).Write(place);
        Observer.StageDone(visit.Name);
        return record;
    }

    // What ended the run stands in its folder, too; a folder that cannot be written must not hide it.
    private void Fail(Exception cause)
    {
        try
        {
            folder.Tell(RunPhase.Failed, reporter.Live?.Name, cause.Message);
        }
        catch (RunFailedException e)
        {
            Observer.Note(e.Message);
        }
    }

    /// <summary>A visit's rows are known, and its steps begin.</summary>
    /// <param name="visit">The visit.</param>
    /// <param name="place">Its folder.</param>
    /// <param name="steps">Its steps.</param>
    /// <param name="rows">What became of its rows; null where it samples its own.</param>
    internal void Begin(StageVisit visit, string place, int steps, RowCounts? rows)
    {
        rows?.Write(place);
        folder.Tell(RunPhase.Running, visit.Name);
        reporter.Live = new LiveStage(
            visit.Name,
            visit.Stage.Objective.Kind,
            0,
            steps,
            rows);
    }

    /// <summary>Writes the page of the run as it is, after a measurement.</summary>
    /// <param name="step">The step of the visit that is trained.</param>
    internal void Show(int step)
    {
        reporter.Live = reporter.Live! with { Step = step };
        reporter.WriteLive();
    }

    // Refuses what cannot go on before anything is trained, and only then writes a changed recipe down.
    private void Plan(IReadOnlyList<StageVisit> visits)
    {
        for (var i = 0; i < visits.Count; i++)
        {
            if (StageRecord.Read(folder.Stage(i, visits[i].Name)) is not { Report: { } report }
                || !StageExtension.Asked(visits[i].Stage, report, Observer))
                continue;
            for (var later = i + 1; later < visits.Count; later++)
            {
                if (graph.ComesFrom(visits[later], visits[i]) && Directory.Exists(folder.Stage(later, visits[later].Name)))
                    throw new InputException($"Stage {visits[i].Stage.Name} cannot go on: {visits[later].Name} was trained from the model "
                        + "that it left. Start again with --fresh, or add a stage at the end.");
            }
        }
        folder.Keep(Materials.Recipe.ToYaml());
    }

    private StageRecord Keep(
        string place,
        StageReport? report,
        string name,
        TextModel model,
        StageVisit? visit = null)
    {
        Observer.Progress($"Measuring abilities after {name}", 0, 0);
        // A process that was killed during the measurement may have left some of these records.
        Rewind(name, report?.Steps ?? -1);
        Meter.Ensembles.After = visit?.Stage.Name ?? "";
        measured = visit is null ? null : (visit.Stage.Name, FinishedStage.In(place, report!.Unmerged));
        var values = Meter.Measure(model, Materials.Recipe.Abilities?.Keys ?? [], Stop);
        measured = null;
        foreach (var (ability, value) in values) Record(name, report?.Steps ?? 0, MetricLine.After + ability, value);
        Observer.Measured(name, 0, values);
        var samples = visit is null ? [] : Sample(
            visit,
            model,
            report!.Steps,
            visit.Stage.Evaluate?.Samples ?? 2,
            finished: true);
        var record = new StageRecord(report, new AbilityRow(name, values), samples);
        record.Write(place);
        return record;
    }

    /// <summary>Records a figure.</summary>
    /// <param name="stage">The stage's visit.</param>
    /// <param name="step">The step.</param>
    /// <param name="name">The figure.</param>
    /// <param name="value">Its value.</param>
    /// <param name="spread">Its standard error; null where it is not known.</param>
    public void Record(
        string stage,
        int step,
        string name,
        double value,
        double? spread = null) => Record(new MetricLine(stage, step, name, value) { Spread = spread });

    /// <summary>Records a figure.</summary>
    /// <param name="line">The figure.</param>
    internal void Record(MetricLine line)
    {
        var timed = line with { Time = TimeProvider.System.GetUtcNow() };
        RunFolder.Append(folder.Metrics, timed);
        Board?.Append(timed);
    }

    private TensorBoardLog? Board => Materials.Recipe.Log?.Contains(LogFormat.Tensorboard) == true
        ? new TensorBoardLog(folder.File("tensorboard"))
        : null;

    /// <summary>Removes a stage's figures and samples after a step.</summary>
    /// <param name="stage">The stage's visit.</param>
    /// <param name="step">The last step that counts.</param>
    /// <param name="measured">Whether what was measured after that step counts, too.</param>
    public void Rewind(string stage, int step, bool measured = true)
    {
        RunFolder.Rewind(folder.Metrics, stage, step, measured);
        Board?.Rewind(stage, RunView.Lines(folder.Metrics));
        RunFolder.Rewind(folder.Samples, stage, step, measured);
    }

    /// <summary>Lets the model answer some held-out prompts of a stage and records the answers.</summary>
    /// <param name="visit">The stage; for a stage without answers, the model writes free text.</param>
    /// <param name="model">The model.</param>
    /// <param name="step">The step.</param>
    /// <param name="count">The number of prompts.</param>
    /// <param name="finished">Whether the stage is over.</param>
    public IReadOnlyList<SampleReport> Sample(
        StageVisit visit,
        TextModel model,
        int step,
        int count,
        bool finished = false)
    {
        ArgumentNullException.ThrowIfNull(visit);
        ArgumentNullException.ThrowIfNull(model);
        if (count == 0 || RunSamples.StageOf(visit) is not { } stage) return [];
        var samples = RunSamples.Of(
            Materials,
            stage,
            visit.Name,
            model,
            count);
        foreach (var sample in samples)
            RunFolder.Append(folder.Samples, new { stage = visit.Name, step, finished, prompt = sample.Prompt, answer = sample.Answer });
        return samples;
    }

    /// <summary>Releases the folder for another process.</summary>
    public void Dispose()
    {
        Materials.Dispose();
        folder.Dispose();
        stop.Dispose();
        Peers.Dispose();
    }
}
