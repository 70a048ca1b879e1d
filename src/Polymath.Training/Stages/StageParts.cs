using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Training.Rollouts;
using Polymath.Tuning.Prompts;

namespace Polymath.Training.Stages;

/// <summary>What a stage learns.</summary>
/// <param name="Objective">The formula.</param>
/// <param name="Source">The items.</param>
/// <param name="HeldOut">Items that it does not learn from, for the held-out loss; none where it has none.</param>
/// <param name="Counts">What became of its rows; null where it samples its own.</param>
sealed record StageLesson(
    Objective Objective,
    ItemSource Source,
    IReadOnlyList<Item> HeldOut,
    RowCounts? Counts = null);

/// <summary>What a lesson is made from.</summary>
/// <param name="Stage">The stage.</param>
/// <param name="Materials">The run's data, tokenizer and layout.</param>
/// <param name="Model">The model, with what the stage attaches to it.</param>
/// <param name="Batch">How rows become batches; its maxLength is set.</param>
/// <param name="Visit">The stage's visit.</param>
/// <param name="Folder">The visit's folder.</param>
/// <param name="Observer">Is told what became of the rows.</param>
sealed record LessonContext(
    StageSpec Stage,
    Materials Materials,
    TextModel Model,
    BatchSpec Batch,
    string Visit,
    string Folder,
    RunObserver Observer)
{
    /// <summary>Receives the figures of a source that samples.</summary>
    internal Action<string, double> Record { get; init; } = (_, _) => { };

    /// <summary>Whether the model scores pairs before the first step; a check does not need it.</summary>
    internal bool Scores { get; init; } = true;

    /// <summary>The stage's data.</summary>
    internal StageData Data => Materials.Data(Stage.Name);

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
}

/// <summary>The objective and the items of each kind of stage.</summary>
static class StageParts
{
    internal static StageLesson Of(LessonContext context)
    {
        Suits(context.Stage, context.Model.Model);
        return context.Stage.Objective switch
        {
            TaskSpec when context.Stage.TrainsHead => Corpus(
                context, new LabelScores(), HeadStage.Labels(context.Stage, context.Model.Model, context.Data.Labels())),
            TaskSpec => Words(context),
            AlignSpec { Rollout: { } rollout } align => Sampled(context, align, rollout),
            AlignSpec { Loss: KtoSpec } align => Judged(context, align),
            AlignSpec align => Pairs(context, align),
            _ => Corpus(context, new NextToken(context.Model.Model.Routers.Exist), null),
        };
    }

    private static StageLesson Words(LessonContext context)
    {
        var labels = context.Data.Labels();
        var words = ((PromptMethod)context.Stage.Method!).Verbalizer.Words;
        var verbalizer = new Verbalizer(labels, words, context.Materials.Tokenizer);
        if (verbalizer.Shortened.Count > 0) context.Note(string.Join("; ", verbalizer.Shortened));
        return Corpus(context, new LabelWords(verbalizer), labels);
    }

    private static StageLesson Sampled(LessonContext context, AlignSpec align, RolloutSpec rollout)
    {
        var data = context.Data;
        var prompts = Fitting(
            context, rollout, [.. data.Rows(DataSplit.Train).Select(row => new RolloutPrompt(row.Key, data.Prompt(row), row.Fields))]);
        Note(context);
        var source = new RolloutItems(
            context.Model,
            prompts,
            new Judge([.. align.Rewards!.Select(pair => (pair.Key, context.Materials.Reward(pair.Key), pair.Value))]),
            AlignLoss.Estimator(align),
            rollout,
            context.Stage.Steps!.Value,
            context.Seed,
            context.Visit,
            Path.Combine(context.Folder, "rollouts"),
            (round, name, value) =>
            {
                context.Record("rollout " + name, value);
                context.Note($"round {round}, {name} {value:G4}");
            });
        return new StageLesson(AlignLoss.Of(align), source, []);
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
        if (stage.Objective is not TaskSpec && model.Reading == Reading.Encoder)
            throw new InputException($"Stage {stage.Name}: a {family} reads in both directions and sees the tokens it should "
                + "predict. Give it a stage of the kind task, or use a model that reads forward.");
        if (stage.Objective is TaskSpec && model.Reading == Reading.EncoderDecoder)
            throw new InputException($"Stage {stage.Name}: a {family} writes its answer apart from its input, but a task stage reads "
                + "labels where the prompt ends. Give it a stage of the kind finetune, whose answer is the label, or leave out the prompt, "
                + "so that a head over labels is trained.");
    }

    // A prompt must leave room for a whole answer. Prompts that do not are counted before the first step, and left out or refused as the
    // batch's settings say.
    private static List<RolloutPrompt> Fitting(LessonContext context, RolloutSpec rollout, List<RolloutPrompt> prompts)
    {
        var (stage, model, most) = (context.Stage, context.Model, context.Batch.MaxLength!.Value);
        int[] Encoded(RolloutPrompt prompt) => model.Contract.Encode([new Turn(prompt.Message)], model.Tokenizer);
        var room = most - rollout.MaxNewTokens;
        var fitting = prompts.Where(prompt => Encoded(prompt).Length <= room).ToList();
        foreach (var prompt in fitting.Take(1))
        {
            PromptEndCheck.Refuse(
                stage.Name,
                prompt.Key,
                Encoded(prompt),
                model.Model.PromptEnd,
                model.Tokenizer);
        }
        var left = prompts.Count - fitting.Count;
        if (left > 0 && context.Batch.Overlong == OverlongPolicy.Refuse)
            throw new InputException($"Stage {stage.Name}: {left} prompts leave no room for {rollout.MaxNewTokens} new tokens in "
                + $"rows of {most}, and batch.overlong is refuse. Choose drop, or lower rollout.maxNewTokens.");
        if (fitting.Count == 0)
            throw new InputException($"Stage {stage.Name}: no prompt leaves room for {rollout.MaxNewTokens} new tokens in rows of "
                + $"{most}. Lower rollout.maxNewTokens.");
        context.Note($"{fitting.Count:N0} prompts; {left:N0} left out, which would leave no room for {rollout.MaxNewTokens} new "
            + $"tokens in rows of {most:N0}");
        return fitting;
    }

    private static void Note(LessonContext context)
    {
        if (context.Data.LayoutNote is { } layout)
            context.Note(layout);
        foreach (var line in context.Data.Report.Lines)
            context.Note(line);
    }

    private static StageLesson Pairs(LessonContext context, AlignSpec align)
    {
        var (stage, data) = (context.Stage.Name, context.Data);
        data.Tell(DataSplit.Train, context.Materials.Recipe);
        var (pairs, counts) = PreferenceItems.Of(
            stage,
            data.Rows(DataSplit.Train),
            context.Model,
            context.Batch,
            data.Report);
        PreferenceItems.RequireSome(stage, counts);
        Note(context);
        context.Note(counts.Told());
        var (heldOut, _) = PreferenceItems.Of(
            stage,
            data.HeldOutRows(context.HeldOutRows, context.Seed),
            context.Model,
            context.HeldOutBatch,
            new SourceReport(),
            heldOut: true);
        IReadOnlyList<Item> Scored(IReadOnlyList<Item> items) =>
            context.Scores && align.Loss.HasReference
                ? PreferenceItems.Scored(items, context.Model.Model, AlignLoss.LengthWeight(align))
                : items;
        return new StageLesson(AlignLoss.Of(align), Source(context, Scored(pairs)), Scored(heldOut), counts);
    }

    private static StageLesson Judged(LessonContext context, AlignSpec align)
    {
        var (stage, data) = (context.Stage.Name, context.Data);
        data.Tell(DataSplit.Train, context.Materials.Recipe);
        var (items, counts) = JudgedItems.Of(
            stage,
            data.Rows(DataSplit.Train),
            context.Model,
            context.Batch,
            data.Report);
        PreferenceItems.RequireSome(stage, counts);
        Note(context);
        context.Note(counts.Told());
        var overlong = context.Batch.Overlong == OverlongPolicy.Refuse ? OverlongPolicy.Cut : context.Batch.Overlong;
        var rows = data.HeldOutRows(context.HeldOutRows, context.Seed);
        var (heldOut, _) = JudgedItems.Of(
            stage,
            rows.Count > 1 ? rows : [],
            context.Model,
            context.HeldOutBatch with { Overlong = overlong },
            new SourceReport());
        IReadOnlyList<Item> Scored(IReadOnlyList<Item> some) =>
            context.Scores ? JudgedItems.Scored(some, context.Model.Model) : some;
        return new StageLesson(AlignLoss.Of(align), Source(context, Scored(items)), Scored(heldOut), counts);
    }

    private static StageLesson Corpus(LessonContext context, Objective objective, IReadOnlyList<string>? labels)
    {
        var (data, model, tokenizer) = (context.Data, context.Model.Model, context.Materials.Tokenizer);
        data.Tell(DataSplit.Train, context.Materials.Recipe);
        // Rows that are filled leave room for virtual tokens.
        var batch = context.Stage.FillsRows ? context.HeldOutBatch : context.Batch;
        var (items, counts) = data.Items(
            DataSplit.Train,
            tokenizer,
            batch,
            labels,
            model.PromptEnd);
        // The longest row says before the first step whether all fit with their virtual tokens.
        if (model.VirtualTokens > 0) model.Lay([items.SelectMany(item => item.Rows).MaxBy(row => row.Length)]).Dispose();
        context.Note(counts.Told());
        Note(context);
        var heldOut = data.HeldOut(
            tokenizer,
            context.HeldOutBatch,
            labels,
            context.HeldOutRows,
            context.Seed,
            model.PromptEnd);
        return new StageLesson(objective, Source(context, items), heldOut, counts);
    }

    private static ItemSource Source(LessonContext context, IReadOnlyList<Item> items) => context.Stage.Mix is { } shares
        ? new MixedItems(items, shares, context.Seed, context.Visit)
        : new CorpusItems(items, context.Seed, context.Visit);
}
