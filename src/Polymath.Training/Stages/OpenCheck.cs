using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Hubs;
using Polymath.Training.Lessons;
using Polymath.Training.Optimizers;

namespace Polymath.Training.Stages;

/// <summary>
/// Opens the model, the data and the method of every stage as a run would, up to its first step, and trains nothing: what cannot end
/// well is refused, and disk, memory and steps are reported.
/// </summary>
public static class OpenCheck
{
    /// <summary>Opens every stage.</summary>
    /// <param name="reading">The recipe, read without faults.</param>
    /// <param name="observer">Receives what a run would report before its first steps.</param>
    /// <param name="hub">Fetches files from hubs.</param>
    /// <exception cref="InputException">A stage cannot begin.</exception>
    public static void Open(RecipeReading reading, RunObserver observer, Hub hub)
    {
        ArgumentNullException.ThrowIfNull(reading);
        ArgumentNullException.ThrowIfNull(observer);
        var scratch = Directory.CreateTempSubdirectory("polymath-check-");
        try
        {
            using var materials = Materials.Gather(
                reading.OrThrow(),
                reading.BaseFolder,
                Path.Combine(scratch.FullName, "tokenizer"),
                observer,
                hub);
            materials.Corpora.Fetch();
            foreach (var visit in materials.Recipe.Visits().Where(visit => visit.Round == 1))
                Open(visit, materials, Path.Combine(scratch.FullName, visit.Name), observer);
        }
        finally
        {
            scratch.Delete(recursive: true);
        }
    }

    private static void Open(StageVisit visit, Materials materials, string folder, RunObserver observer)
    {
        var stage = visit.Stage;
        if (stage.Sources.Where(materials.Corpora.IsMade).ToList() is { Count: > 0 } made)
        {
            observer.Note($"{visit.Name}: the rows of {string.Join(", ", made)} are made when the stage begins, so it is not opened");
            return;
        }
        using var model = materials.NewModel(stage);
        using var method = Attach(
            visit,
            materials,
            model,
            folder,
            observer);
        var batch = stage.Batch ?? new BatchSpec();
        batch = batch with { MaxLength = Math.Min(materials.LengthOf(stage), model.Model.Sizes.ContextLength) };
        var context = new LessonContext(
            stage,
            materials,
            model,
            batch,
            visit.Name,
            folder,
            observer)
        {
            Scores = false,
        };
        using var terms = StageTerms.Of(context);
        var steps = StageLength.Steps(
            stage,
            terms.FirstBatch,
            terms.First,
            0,
            context.Note);
        if (method is null)
            return;
        method.Begin(steps);
        using var optimizer = new OptimizerSet([.. method.Groups(stage.Optimizer), .. terms.Groups(stage.Optimizer)]);
        context.Note($"{steps:N0} steps, {optimizer.Count:N0} parameters trained");
        observer.Note(StageNeeds.Of(
            visit.Name,
            model.Model,
            optimizer,
            steps,
            stage.Checkpoint ?? new CheckpointSettings()));
    }

    // Adapters of stages that are not trained yet cannot be opened.
    private static TrainedMethod? Attach(
        StageVisit visit,
        Materials materials,
        TextModel model,
        string folder,
        RunObserver observer)
    {
        var method = visit.Stage.Method ?? new FullMethod();
        var inner = method is PromptMethod prompt ? prompt.Train : method;
        if (inner is AdaptersMethod several && several.Adapters.Values.Any(adapter => adapter.Stage is not null))
        {
            observer.Note($"{visit.Name}: takes up adapters of stages before it, so only its data was opened");
            return null;
        }
        var places = new AdapterPlaces(
            materials.BaseFolder,
            stage => throw new InvalidOperationException($"Stage {stage} is not trained."),
            Path.Combine(folder, "prepared"));
        return TrainedMethod.Attach(
            model.Model,
            method,
            materials.Recipe.Seed,
            visit.Name,
            encode: text => model.Tokenizer.Encode(text, addSpecialTokens: true),
            places: places).For(visit.Stage);
    }
}
