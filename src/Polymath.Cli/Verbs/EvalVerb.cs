using System.CommandLine;
using System.Text.Json;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Hubs;
using Polymath.Training;
using Polymath.Training.Evaluation;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath eval FOLDER</c>: measures a recipe's abilities on a run's model or any other.</summary>
internal static class EvalVerb
{
    internal static Command Make()
    {
        var choice = new ModelChoice();
        var recipe = new Option<string?>("--recipe") { Description = "The recipe whose abilities are measured; a run has its own." };
        var abilities = new Option<string[]>("--ability")
        {
            Description = "An ability to measure; all when left out.", AllowMultipleArgumentsPerToken = true,
        };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object." };
        var command =
            new Command("eval", "Measures perplexity, accuracy, rewards and the other abilities of a recipe.") { recipe, abilities, json };
        choice.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() => Go(
            choice,
            parsed,
            parsed.GetValue(recipe),
            parsed.GetValue(abilities) ?? [],
            parsed.GetValue(json))));
        return command;
    }

    private static int Go(
        ModelChoice choice,
        ParseResult parsed,
        string? file,
        string[] names,
        bool json)
    {
        var folder = choice.Folder(parsed);
        if (!HubAddress.IsAddress(folder)) TextModel.Locate(folder);
        var reading = file is not null ? RecipeReader.Read(file) : RunRecipe.Of(
            folder, "Name the recipe whose abilities are to be measured with --recipe FILE.");
        var recipe = reading.OrThrow();
        var known = recipe.Abilities?.Keys ?? [];
        foreach (var name in names)
            if (!known.Contains(name)) throw new InputException($"The recipe has no ability '{name}'; it has {string.Join(", ", known)}.");
        using var opened = choice.Open(parsed);
        var model = opened.Text;
        var terminal = new Terminal(quiet: json);
        // The model's own tokenizer is used, so no tokenizer is trained here.
        var place = opened.Place;
        using var materials = terminal.Show(() => Materials.Gather(
            recipe with { Tokenizer = new TokenizerFolderSpec(Path.GetFullPath(place)) },
            reading.BaseFolder,
            place,
            terminal,
            choice.Hubs.Open(parsed, terminal, new HubPins(Surroundings.Pins(folder)))));
        if (Directory.Exists(Path.Combine(folder, "stages"))) materials.Rewards.Run = folder;
        // A task is asked as the model's stage has left it.
        materials.Asked.LookIn(folder, place);
        var meter = new AbilityMeter(materials);
        if (Directory.Exists(Path.Combine(folder, "stages"))) meter.Ensembles.Finished = name => Finished(folder, name);
        foreach (var name in names)
            if (recipe.Abilities![name] is EnsembleAbility several && meter.Ensembles.Missing(several) is { Count: > 0 } missing)
                throw new InputException($"{name} asks {string.Join(", ", several.Stages)} together, and {folder} has no finished stage "
                    + $"{string.Join(", ", missing)}. Name the run's folder, or train it first.");
        var values = terminal.Show(() => meter.Measure(model, names.Length > 0 ? names : known));
        if ((names.Length > 0 ? names : known)
            .Where(name => recipe.Abilities![name] is not EnsembleAbility && !meter.Measures(model.Model, name)).ToList()
            is { Count: > 0 } unfit
            && (names.Length > 0 || values.Count == 0))
            throw new InputException($"{string.Join(", ", unfit)} cannot be measured: the model has a head over "
                + $"{(model.Model.Labels is null ? "words, and not the one over labels" : "labels, and not the one over words")} that "
                + $"{(unfit.Count == 1 ? "this ability needs" : "these abilities need")}. Name another stage's model with --stage.");
        if (json) Console.WriteLine(JsonSerializer.Serialize(values));
        else
            foreach (var (name, value) in values) Console.WriteLine($"{name,-20} {value:G5}");
        return Outcome.Done;
    }

    private static FinishedStage? Finished(string run, string stage)
    {
        try
        {
            return FinishedStage.OfModel(TextModel.Locate(run, stage));
        }
        catch (InputException)
        {
            return null;
        }
    }
}
