using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;

namespace Polymath.Training.Stages;

/// <summary>
/// The model of a stage that trains a head over labels: it already has such a head, or it gets a fresh one when the stage begins.
/// </summary>
internal static class HeadStage
{
    /// <summary>Opens a model folder for the stage.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="labels">The labels of its training rows.</param>
    /// <param name="seed">The seed of a fresh head.</param>
    internal static LanguageModel Open(StageSpec stage, string folder, IReadOnlyList<string> labels, long seed)
    {
        if (LabelHead.TaskOf(new ConfigReader(ModelFolder.Configuration(folder))) is null)
            return stage.Objective is RewardModelSpec fresh
                ? ModelFolder.OpenWithHead(folder, TaskOf(fresh), NamesOf(fresh), seed)
                : ModelFolder.OpenWithHead(
                    folder,
                    LabelTask.Classify,
                    Several(stage, labels),
                    seed,
                    place: PlaceOf(stage));
        var model = ModelFolder.Open(folder);
        if (PlaceOf(stage) is { } asked && model.Labels!.Place != asked)
        {
            using (model)
                throw new InputException($"Stage {stage.Name}: the model in {folder} has a head already, which reads "
                    + $"{model.Labels!.Place.ToString().ToLowerInvariant()} of a row, and 'pooling' asks for another. Leave it out, or "
                    + "name the language model that it was made from.");
        }
        if (stage.Objective is not RewardModelSpec reward
            || (model.Labels!.Task == TaskOf(reward) && model.Labels.Labels == NamesOf(reward).Count))
            return model;
        using (model)
            throw new InputException($"Stage {stage.Name}: the model in {folder} has a head over {model.Labels!.Labels} labels, and a "
                + $"reward model has {(reward.Process is null ? "one score" : "two for each token")}. Name the language model that it was "
                + "made from.");
    }

    /// <summary>Makes a new model for the stage.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="configuration">The configuration of a language model.</param>
    /// <param name="labels">The labels of its training rows.</param>
    /// <param name="seed">The seed.</param>
    internal static LanguageModel New(
        StageSpec stage, System.Text.Json.Nodes.JsonObject configuration, IReadOnlyList<string> labels, long seed)
    {
        if (stage.Objective is RewardModelSpec reward) LabelHead.Configure(configuration, TaskOf(reward), NamesOf(reward));
        else LabelHead.Configure(configuration, LabelTask.Classify, Several(stage, labels), PlaceOf(stage));
        return ModelFolder.New(configuration, seed);
    }

    private static LabelTask TaskOf(RewardModelSpec reward) => reward.Process is null ? LabelTask.Regress : LabelTask.Tag;

    private static IReadOnlyList<string> NamesOf(RewardModelSpec reward) =>
        reward.Process is null ? [RewardModelSpec.Score] : RewardModelSpec.StepNames;

    private static LabelPlace? PlaceOf(StageSpec stage) => (stage.Objective as TaskSpec)?.Pooling switch
    {
        RowPooling.First => LabelPlace.First,
        RowPooling.Last => LabelPlace.Last,
        RowPooling.Mean => LabelPlace.Mean,
        RowPooling.Max => LabelPlace.Max,
        _ => null,
    };

    private static IReadOnlyList<string> Several(StageSpec stage, IReadOnlyList<string> labels)
    {
        if (labels.Count > 1) return labels;
        throw new InputException($"Stage {stage.Name}: the training rows have "
            + $"{(labels.Count == 0 ? "no label" : $"one label, '{labels[0]}'")}, and a head chooses among two or more. Check label, data "
            + "and where.");
    }

    /// <summary>The labels in the order of a head's scores. The head must be able to learn the labels of the stage's rows.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="model">The model.</param>
    /// <param name="labels">The labels of its training rows.</param>
    /// <exception cref="InputException">The head is of another kind, or has other labels.</exception>
    internal static IReadOnlyList<string> Labels(StageSpec stage, LanguageModel model, IReadOnlyList<string> labels)
    {
        var head = model.Labels ?? throw new InputException($"Stage {stage.Name}: the model has no head over labels.");
        if (head.Task != LabelTask.Classify)
        {
            var kind = head.Task switch
            {
                LabelTask.Tag => "labels every token",
                LabelTask.MultiLabel => "gives a row any number of labels",
                _ => "gives a number",
            };
            throw new InputException($"Stage {stage.Name}: the model's head {kind}, but a task stage teaches one label of several for each "
                + "row. Name a model with such a head, or the language model under it, which gets a fresh head.");
        }
        var unknown = labels.Where(label => !head.Names.Contains(label)).ToList();
        if (unknown.Count == 0) return head.Names;
        var shown = string.Join(", ", unknown.Take(5).Select(label => $"'{label}'"))
            + (unknown.Count > 5 ? $" and {unknown.Count - 5} more" : "");
        throw new InputException(
            $"Stage {stage.Name}: the rows have the label{(unknown.Count == 1 ? "" : "s")} {shown}, which the model's head does not have; "
                + $"its labels are {string.Join(", ", head.Names)}. Map the rows' labels to these, write the rows' names into id2label of "
                + "its config.json, or name the language model under it, which gets a fresh head.");
    }
}
