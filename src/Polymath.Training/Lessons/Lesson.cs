using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Training.Objectives;
using Polymath.Training.Rollouts;
using Polymath.Training.Stages;

namespace Polymath.Training.Lessons;

/// <summary>What a stage learns.</summary>
/// <param name="Objective">The formula.</param>
/// <param name="Source">The items.</param>
/// <param name="HeldOut">Items that it does not learn from, for the held-out loss; none where it has none.</param>
/// <param name="Counts">What became of its rows; null where it samples its own.</param>
internal sealed record Lesson(
    Objective Objective,
    ItemSource Source,
    IReadOnlyList<Item> HeldOut,
    RowCounts? Counts = null) : IDisposable
{
    /// <summary>Weights that are trained besides those of the stage's method, such as a critic's.</summary>
    public IReadOnlyList<Weight> Weights { get; init; } = [];

    /// <summary>The name of those weights in checkpoints.</summary>
    public string WeightsName { get; init; } = "critic";

    /// <summary>Whether the matrices among them are maps between hidden states, which Muon moves.</summary>
    public bool WeightsAreMaps { get; init; } = true;

    /// <summary>Their own learning rate; the stage's when null.</summary>
    public double? Rate { get; init; }

    /// <summary>Writes what belongs beside the stage's model into the model's folder.</summary>
    public Action<string>? Beside { get; init; }

    /// <summary>Writes what those have learned to the stage's folder.</summary>
    public Action<string>? Save { get; init; }

    /// <summary>A model that the lesson has opened: a critic or a teacher.</summary>
    public IDisposable? Owned { get; init; }

    /// <summary>Frees what it has opened.</summary>
    public void Dispose() => Owned?.Dispose();
}

/// <summary>What a lesson is made from.</summary>
/// <param name="Stage">The stage.</param>
/// <param name="Materials">The run's data, tokenizer and layout.</param>
/// <param name="Model">The model, with what the stage attaches to it.</param>
/// <param name="Batch">How rows become batches; its maxLength is set.</param>
/// <param name="Visit">The stage's visit.</param>
/// <param name="Folder">The visit's folder.</param>
/// <param name="Observer">Is told what became of the rows.</param>
internal sealed record LessonContext(
    StageSpec Stage,
    Materials Materials,
    TextModel Model,
    BatchSpec Batch,
    string Visit,
    string Folder,
    RunObserver Observer)
{
    /// <summary>Receives the figures of a source that samples: name, value, and the tokens a second where that is known.</summary>
    internal Action<string, double, double?> Record { get; init; } = (_, _, _) => { };

    /// <summary>Whether the model scores pairs before the first step; a check does not need it.</summary>
    internal bool Scores { get; init; } = true;

    /// <summary>The policy at the start of the stage, where a lesson compares with it.</summary>
    internal StartingPolicy? Start { get; init; }

    /// <summary>Another model that the stage names: an earlier stage of the run, or a folder.</summary>
    /// <param name="named">Its name.</param>
    /// <exception cref="InputException">It cannot be opened.</exception>
    internal TextModel Other(string named) => Materials.OpenOther(Stage.Name, named);

    /// <summary>Whether another model can be opened: a check comes before the stages of the run are trained.</summary>
    /// <param name="named">Its name.</param>
    internal bool HasOther(string named) => Scores || Materials.Recipe.Stages.All(stage => stage.Name != named);

    /// <summary>The stage's data.</summary>
    internal StageData Data => Materials.Data(Stage);

    /// <summary>The run's seed.</summary>
    internal long Seed => Materials.Recipe.Seed;

    /// <summary>The number of held-out rows.</summary>
    internal int HeldOutRows => (Stage.Evaluate ?? new EvaluateSpec()).Rows;

    /// <summary>Rows that are only measured are cut where they would not fit with virtual tokens.</summary>
    internal BatchSpec HeldOutBatch => Batch with { MaxLength = Room };

    /// <summary>The most tokens of a row beside the virtual tokens.</summary>
    internal int Room => Math.Min(Batch.MaxLength!.Value, Model.Model.Sizes.ContextLength - Model.Model.VirtualTokens);

    /// <summary>A note that begins with the visit's name.</summary>
    /// <param name="text">The note.</param>
    internal void Note(string text) => Observer.Note($"{Visit}: {text}");

    /// <summary>Notes the layout of the stage's conversations, and what of its rows is not learned as it stands.</summary>
    internal void NoteRows()
    {
        foreach (var layout in Data.LayoutNotes) Note(layout);
        foreach (var line in Data.Report.Lines) Note(line);
    }

    /// <summary>A source of items that are there, in the order of the stage.</summary>
    /// <param name="items">The items.</param>
    internal ItemSource Source(IReadOnlyList<Item> items) => Stage.Mix is { } shares
        ? new MixedItems(items, shares, Seed, Visit)
        : new CorpusItems(items, Seed, Visit);
}

/// <summary>The lesson of each kind of stage.</summary>
internal static class StageLessons
{
    /// <summary>The lesson of a stage.</summary>
    /// <param name="context">What it is made from.</param>
    /// <exception cref="InputException">The model cannot learn it, or its rows do not suit it.</exception>
    internal static Lesson Of(LessonContext context)
    {
        Suits(context.Stage, context.Model.Model);
        return context.Stage.Objective switch
        {
            RewardModelSpec { Process: { } steps } => StepsLesson.Of(context, steps),
            RewardModelSpec reward => RewardLesson.Of(context, reward),
            TaskSpec when context.Stage.TrainsHead => HeadLesson.Of(context),
            TaskSpec => WordsLesson.Of(context),
            AlignSpec { Rollout: { } rollout } align => SampledLesson.Of(context, align, rollout),
            AlignSpec { Loss: DistillSpec distill } => DistillLesson.Of(context, distill),
            AlignSpec { Loss.LearnsLabels: true } align => JudgedLesson.Of(context, align),
            AlignSpec align => PairsLesson.Of(context, align),
            PretrainSpec when context.Model.Model.Reading != Reading.Decoder => HiddenLesson.Of(context),
            _ => CorpusLesson.Of(context, new NextToken(context.Model.Model.Routers.Exist)),
        };
    }

    // Without this check, an unsuitable model would train without an error: an encoder sees the token that it should predict, and a head
    // over labels cannot predict words.
    private static void Suits(StageSpec stage, LanguageModel model)
    {
        var family = model.Configuration["model_type"];
        if (stage.TrainsHead) return;
        if (model.Labels is not null)
            throw new InputException($"Stage {stage.Name}: the model is a {family} with a head over labels, but this stage trains a head "
                + "over words. Name the language model that it was made from; or make it a task stage without a prompt, which trains the "
                + "labels.");
        if (stage.Objective is not (TaskSpec or PretrainSpec) && model.Reading == Reading.Encoder)
            throw new InputException($"Stage {stage.Name}: a {family} reads in both directions and sees the tokens it should "
                + "predict. Give it a stage of the kind pretrain or task, or use a model that reads forward.");
        if (stage.Objective is PretrainSpec { Mask: not null } && model.Reading == Reading.Decoder)
            throw new InputException($"Stage {stage.Name}: a {family} reads forward and learns every next token; mask is for models that "
                + "read in both directions. Leave it out.");
    }
}
