using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Text.Hubs;

namespace Polymath.Training;

/// <summary>A prompt whose answers a person compares.</summary>
/// <param name="Source">The name of its row.</param>
/// <param name="Message">What the user says.</param>
public sealed record LabelPrompt(string Source, string Message);

/// <summary>The prompts of a run's data that people are asked about.</summary>
public static class LabelPrompts
{
    /// <summary>The prompts of a recipe's last stage that answers, in an order of their own: of its validation rows, or of its training
    /// rows where it has none.</summary>
    /// <param name="reading">The recipe.</param>
    /// <param name="place">The folder of the model, whose tokenizer is used.</param>
    /// <param name="observer">Receives the progress of reading.</param>
    /// <param name="hub">Fetches files from hubs.</param>
    /// <exception cref="InputException">No stage of the recipe answers prompts.</exception>
    public static IReadOnlyList<LabelPrompt> Of(
        RecipeReading reading,
        string place,
        RunObserver observer,
        Hub hub)
    {
        ArgumentNullException.ThrowIfNull(reading);
        var recipe = reading.OrThrow();
        using var materials = Materials.Gather(
            recipe with { Tokenizer = new TokenizerFolderSpec(Path.GetFullPath(place)) },
            reading.BaseFolder,
            place,
            observer,
            hub);
        var stage = recipe.Stages.SelectMany(stage => stage.Parts())
            .LastOrDefault(part => part.Objective is FinetuneSpec or AlignSpec && !part.Sources.Any(materials.Corpora.IsMade))
            ?? throw new InputException("No stage of the recipe answers prompts. Give some with --prompts FILE.");
        var data = materials.Data(stage);
        var rows = data.Rows(DataSplit.Validation) is { Count: > 0 } some ? some : data.Rows(DataSplit.Train);
        var order = new Permutation(rows.Count, recipe.Seed, "prompts to label", 0);
        return
        [
            .. Enumerable.Range(0, rows.Count).Select(i => rows[order[i]]).Select(row => new LabelPrompt(row.Name, data.Prompt(row)))
                .DistinctBy(prompt => prompt.Message),
        ];
    }
}
