using System.Text.Json;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Hubs;
using Polymath.Tuning.Prompts.Searches;

namespace Polymath.Training.Searches;

/// <summary>The kinds of searches.</summary>
public enum SearchKind
{
    /// <summary>Trigger words by gradients (Shin et al. 2020).</summary>
    Autoprompt,

    /// <summary>Templates that an encoder-decoder writes (Gao et al. 2021).</summary>
    Lmbff,

    /// <summary>Label words that the model expects (Gao et al. 2021).</summary>
    Words,

    /// <summary>Templates that any model writes when it is asked.</summary>
    Written,
}

/// <summary>What is searched, and how.</summary>
/// <param name="Kind">The kind.</param>
/// <param name="Stage">The task stage.</param>
/// <param name="From">A run of the recipe whose model is asked; null for the recipe's own model.</param>
/// <param name="Writer">The folder of the model that writes templates.</param>
/// <param name="Shots">The training rows of each label, and as many others to choose by; null for the stage's own split.</param>
/// <param name="Triggers">How many trigger words are searched.</param>
/// <param name="Candidates">Trigger words: how many are tried in a place. Label words: how many of each label are combined.</param>
/// <param name="Iterations">How often a trigger word is exchanged.</param>
/// <param name="Restarts">How often trigger words start anew.</param>
/// <param name="Batch">The rows of a gradient.</param>
/// <param name="Beams">How many triggers or templates a step keeps, or how many combinations of label words are tried on the development
/// split; null for 1 trigger, and 20 of the others.</param>
/// <param name="MaxLength">The most tokens of a written template; null for 20 between fields, and for 64 of a whole one.</param>
/// <param name="Forbidden">Trigger words that are never chosen.</param>
/// <param name="Keep">How many of the best are kept as files.</param>
/// <param name="Ask">What the model that writes is asked; null for the stage's template in other words.</param>
/// <param name="Samples">How often it is asked.</param>
/// <param name="Temperature">The temperature of its answers.</param>
/// <param name="Tune">How the model is trained by each candidate before it is scored; null where it is asked as it is.</param>
/// <param name="BeamScore">How a beam of templates is scored.</param>
public sealed record SearchSpec(
    SearchKind Kind,
    string Stage,
    string? From = null,
    string? Writer = null,
    int? Shots = null,
    int Triggers = 3,
    int Candidates = 10,
    int Iterations = 30,
    int Restarts = 2,
    int Batch = 32,
    int? Beams = null,
    int? MaxLength = null,
    IReadOnlyList<string>? Forbidden = null,
    int Keep = 3,
    string? Ask = null,
    int Samples = 40,
    double Temperature = 1,
    TuneSettings? Tune = null,
    TemplateScore BeamScore = TemplateScore.Logits);

/// <summary>
/// A search for prompts in a folder of its own. After each part its state is written, so that the same command goes on where it stopped and
/// finds the same.
/// </summary>
/// <param name="spec">What is searched.</param>
/// <param name="folder">The folder.</param>
/// <param name="observer">Receives the progress.</param>
public sealed class PromptSearch(SearchSpec spec, string folder, RunObserver observer)
{
    private sealed record SavedState(
        string Asked,
        TriggerState? Triggers,
        IReadOnlyList<string>? Templates,
        IReadOnlyList<double>? Scores,
        IReadOnlyList<string>? Forms,
        IReadOnlyList<SearchCandidate> Found,
        bool Done);

    private string File => Path.Combine(folder, SearchBoard.State);

    /// <summary>Opens the data and the model, and searches on from where the folder's search stands.</summary>
    /// <param name="reading">The recipe, read without faults.</param>
    /// <param name="hub">Fetches files from hubs.</param>
    /// <param name="stop">Stops between two parts.</param>
    /// <param name="parts">The most parts that are done now, for a stop after a while.</param>
    /// <returns>The candidates, the best first.</returns>
    /// <exception cref="InputException">The stage asks by no prompt, the model cannot be asked, or the folder belongs to another
    /// search.</exception>
    /// <exception cref="OperationCanceledException">It was asked to stop; the state is saved.</exception>
    public IReadOnlyList<SearchCandidate> Run(
        RecipeReading reading,
        Hub hub,
        CancellationToken stop,
        int parts = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(reading);
        var (recipe, stage) = Opened(reading.OrThrow());
        var kept = Path.Combine(folder, "tokenizer");
        Directory.CreateDirectory(kept);
        using var materials = Materials.Gather(
            recipe,
            reading.BaseFolder,
            kept,
            observer,
            hub);
        using var model = materials.NewModel(stage);
        foreach (var weight in model.Model.Weights) weight.Trainable = false;
        var asked = new SearchTask(
            stage,
            model,
            Rows(materials, stage),
            Math.Min(materials.LengthOf(stage), model.Model.Sizes.ContextLength),
            stop);
        using var tuning = spec.Tune is { } tune ? new CandidateTuning(asked, tune, recipe.Seed) : null;
        asked.Tuning = tuning;
        var state = Saved($"{JsonSerializer.Serialize(spec with { Keep = 0 })} seed {recipe.Seed} of {asked.Digest()}");
        var left = parts;
        bool Goes()
        {
            Save(state);
            stop.ThrowIfCancellationRequested();
            if (left-- <= 0) throw new OperationCanceledException("Stopped; the state is saved. The same command goes on from there.");
            return true;
        }
        if (!state.Done)
            state = spec.Kind switch
            {
                SearchKind.Autoprompt => Triggers(asked, recipe.Seed, ref state, Goes),
                SearchKind.Lmbff => Templates(asked, (task, writer) => Filled(task, writer, stop), ref state, Goes),
                SearchKind.Written => Templates(asked, (task, writer) => Asked(task, writer, recipe.Seed, stop), ref state, Goes),
                _ => LabelWords(asked, ref state, Goes),
            };
        Save(state with { Done = true });
        // The stage's own prompt, to see what the search has brought.
        var own = asked.Scored(
            asked.Template,
            asked.Words,
            0,
            "the recipe");
        return SearchBoard.Write(folder, [.. state.Found, own], spec.Keep);
    }

    private IReadOnlyList<Row> Rows(Materials materials, StageSpec stage)
    {
        var data = materials.Data(stage);
        IReadOnlyList<Row> rows = [.. data.Rows(DataSplit.Train), .. data.Rows(DataSplit.Validation)];
        return spec.Shots is { } shots
            ? FewRows.Of(
                stage.Sources[0],
                rows,
                new FewSpec(((TaskSpec)stage.Objective).Label, shots),
                materials.Recipe.Seed)
            : rows;
    }

    private int Beams => spec.Beams ?? 20;

    private void Tell(string what, int done, int all) => observer.Progress($"Searching {what}", done, all);

    // The stage alone, with the model that it starts from, of a run of the recipe.
    private (Recipe Recipe, StageSpec Stage) Opened(Recipe recipe)
    {
        var stage = recipe.Stages.FirstOrDefault(one => one.Name == spec.Stage);
        if (stage is not { Objective: TaskSpec, Method: PromptMethod method })
            throw new InputException($"--stage is {spec.Stage}, which is no task stage that asks by a prompt. Name one of "
                + $"{string.Join(", ", recipe.Stages.Where(one => one.Method is PromptMethod).Select(one => one.Name))}.");
        if (method.Asks().Count > 1 || method.Asks()[0].Verbalizer?.Answers > 1)
            throw new InputException($"Stage {spec.Stage} asks by several prompts or for several answers; a search needs one of each.");
        Suits(method);
        var parent = recipe.ParentOf(recipe.Visits().First(visit => visit.Stage == stage))?.Stage.Name;
        var alone = recipe with { Stages = [stage], Rounds = null, Abilities = null };
        if (spec.From is null) return (alone, stage);
        var model = new PretrainedSpec(Path.GetFullPath(TextModel.Locate(spec.From, parent)));
        return (alone with { Model = model, Tokenizer = null }, stage);
    }

    // A candidate is scored by the first tokens of words behind its prompt, so a stage that reads its answers in another way would be
    // searched for another stage than itself.
    private void Suits(PromptMethod method)
    {
        var ask = method.Asks()[0];
        if (ask.Score == PromptScore.Channel) throw Other("has score: channel", "Leave it out");
        var (read, calibration) = ask.Verbalizer switch
        {
            WordsSpec words => (words.Read, words.Calibration),
            OneToOneSpec one => (one.Read, one.Calibration),
            var other => throw Other($"has a verbalizer of the kind {other!.Kind}", "Write verbalizer: {words: {LABEL: WORD}}"),
        };
        if (read != WordReading.First)
            throw Other($"has verbalizer.read {read.ToString().ToLowerInvariant()}", "Write read: first");
        if (calibration is not null) throw Other("calibrates its words", "Leave out calibrate and contentFree");
        if (method.Spans is not null) throw Other("asks for spans", "Leave out spans");
        if (method.Chain is not null) throw Other("asks a chain of questions", "Leave out chain");
        if (method.Demonstrations is not null) throw Other("shows demonstrations", "Leave them out");
        if (TemplateFields.HasSoft(ask.Template)) throw Other("has soft tokens in its template", "Write words in their place");
        InputException Other(string what, string hint) => new($"Stage {spec.Stage} {what}, and a search scores a prompt of text by the "
            + $"first tokens of its labels' words. {hint}, or name another stage with --stage.");
    }

    private SavedState Saved(string asked)
    {
        if (!System.IO.File.Exists(File))
            return new SavedState(
                asked,
                null,
                null,
                null,
                null,
                [],
                false);
        try
        {
            var saved = JsonSerializer.Deserialize<SavedState>(System.IO.File.ReadAllText(File), JsonLayout.IndentedRecord)
                ?? throw new JsonException("it is null");
            return saved.Asked == asked
                ? saved
                : throw new InputException($"{folder} belongs to another search: with other settings, another prompt, other rows or "
                    + "another model. Give another folder with --run-dir, or remove this one.");
        }
        catch (JsonException e)
        {
            throw new InputException($"{File} is damaged: {e.Message} Remove it to search anew.", e);
        }
    }

    private void Save(SavedState state) =>
        AtomicFile.WriteText(File, JsonSerializer.Serialize(state, JsonLayout.IndentedRecord) + "\n");

    private SavedState Triggers(
        SearchTask task,
        long seed,
        ref SavedState state,
        Func<bool> goes)
    {
        var search = new TriggerSearchRun(task, new TriggerSettings(
            spec.Triggers,
            spec.Candidates,
            spec.Iterations,
            spec.Restarts,
            spec.Batch,
            spec.Forbidden ?? [],
            seed,
            spec.Beams ?? 1));
        var now = state.Triggers ?? search.Begin(0, []);
        state = state with { Triggers = now, Found = now.Found };
        while (!search.IsDone(now) && goes())
        {
            now = search.Next(now);
            state = state with { Triggers = now, Found = now.Found };
            Tell("trigger words", (now.Restart * spec.Iterations) + now.Iteration, spec.Restarts * spec.Iterations);
        }
        return state;
    }

    private SavedState LabelWords(SearchTask task, ref SavedState state, Func<bool> goes)
    {
        var chosen = new WordSearchRun(task, spec.Candidates, Beams).Chosen();
        while (state.Found.Count < chosen.Count && goes())
        {
            var (words, accuracy) = chosen[state.Found.Count];
            state = state with
            {
                Found =
                [
                    .. state.Found,
                    task.Scored(
                        task.Template,
                        words,
                        accuracy,
                        "words"),
                ],
            };
            Tell("label words", state.Found.Count, chosen.Count);
        }
        return state;
    }

    // What an encoder-decoder fills into gaps.
    private IReadOnlyList<(string Template, double Score, string Form)> Filled(
        SearchTask task, TextModel writer, CancellationToken stop)
    {
        var run = new TemplateSearchRun(
            task,
            writer,
            Beams,
            spec.MaxLength ?? 20,
            spec.BeamScore);
        IReadOnlyList<(string Template, double Score, string Form)> all =
        [
            .. run.Written(first: false, stop).Select(pair => (pair.Template, pair.Score, "text first")),
            .. run.Written(first: true, stop).Select(pair => (pair.Template, pair.Score, "answer first")),
        ];
        return all.Count > 0
            ? all
            : throw new InputException("The writer closed no gap, so there is no template. Train it longer, or allow longer templates with "
                + "--max-length.");
    }

    // What a model answers when it is asked.
    private IReadOnlyList<(string Template, double Score, string Form)> Asked(
        SearchTask task, TextModel writer, long seed, CancellationToken stop)
    {
        var written = new WrittenSearchRun(task, writer, new WriterSettings(
            spec.Ask,
            spec.Samples,
            spec.Temperature,
            spec.MaxLength ?? 64,
            seed)).All(stop);
        return written.Count > 0
            ? [.. written.Select(pair => (pair.Template, (double)pair.Times, "written"))]
            : throw new InputException($"None of {spec.Samples} answers is a template with [mask] that the model can read. Say with --ask "
                + "how one looks, give an example in it, or name a writer that was finetuned on templates.");
    }

    private SavedState Templates(
        SearchTask task,
        Func<SearchTask, TextModel, IReadOnlyList<(string Template, double Score, string Form)>> write,
        ref SavedState state,
        Func<bool> goes)
    {
        if (state.Templates is null)
        {
            if (spec.Writer is not { } place)
                throw new InputException($"A search of the kind {spec.Kind.ToString().ToLowerInvariant()} needs a model that writes. Name "
                    + $"the folder of {(spec.Kind == SearchKind.Lmbff ? "a T5" : "a model")}, or a run, with --writer.");
            using var writer = TextModel.Open(place);
            var all = write(task, writer);
            state = state with
            {
                Templates = [.. all.Select(one => one.Template)], Scores = [.. all.Select(one => one.Score)],
                Forms = [.. all.Select(one => one.Form)],
            };
        }
        while (state.Found.Count < state.Templates.Count && goes())
        {
            var i = state.Found.Count;
            state = state with
            {
                Found =
                [
                    .. state.Found,
                    task.Scored(
                        state.Templates[i],
                        task.Words,
                        state.Scores![i],
                        state.Forms![i]),
                ],
            };
            Tell("templates", i + 1, state.Templates.Count);
        }
        return state;
    }
}
