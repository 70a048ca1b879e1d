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

/// <summary>The objective and the items of each kind of stage.</summary>
static class StageParts
{
    internal static StageLesson Of(
        StageSpec stage,
        Materials materials,
        TextModel model,
        BatchSpec batch,
        string visit,
        string folder,
        Action<string, double> record,
        RunObserver observer)
    {
        Suits(stage, model.Model);
        var data = materials.Data(stage.Name);
        switch (stage.Objective)
        {
            case TaskSpec when stage.TrainsHead:
                return Corpus(
                    new LabelScores(),
                    stage,
                    materials,
                    model.Model,
                    batch,
                    visit,
                    observer,
                    HeadStage.Labels(stage, model.Model, data.Labels()));
            case TaskSpec:
                var labels = data.Labels();
                var verbalizer = new Verbalizer(labels, ((PromptMethod)stage.Method!).Verbalizer.Words, materials.Tokenizer);
                if (verbalizer.Shortened.Count > 0) observer.Note($"{visit}: {string.Join("; ", verbalizer.Shortened)}");
                return Corpus(
                    new LabelWords(verbalizer),
                    stage,
                    materials,
                    model.Model,
                    batch,
                    visit,
                    observer,
                    labels);
            case AlignSpec align:
                var prompts = Fitting(
                    stage,
                    align,
                    [.. data.Rows(DataSplit.Train).Select(row => new RolloutPrompt(row.Key, data.Prompt(row), row.Fields))],
                    model,
                    batch,
                    visit,
                    observer);
                Note(data, visit, observer);
                var rewards = align.Rewards.Select(pair => (pair.Key, materials.Reward(pair.Key), pair.Value)).ToList();
                var source = new RolloutItems(
                    model,
                    prompts,
                    rewards,
                    align.Rollout,
                    stage.Steps!.Value,
                    materials.Recipe.Seed,
                    visit,
                    Path.Combine(folder, "rollouts"),
                    (round, name, value) =>
                    {
                        record("rollout " + name, value);
                        observer.Note($"{visit}: round {round}, {name} {value:G4}");
                    });
                return new StageLesson(new DirectPreference(align.Beta, align.AnswerWeight), source, []);
            case PreferSpec prefer:
                return Pairs(
                    stage,
                    prefer,
                    materials,
                    model,
                    batch,
                    visit,
                    observer);
            default:
                return Corpus(
                    new NextToken(),
                    stage,
                    materials,
                    model.Model,
                    batch,
                    visit,
                    observer,
                    null);
        }
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
    private static List<RolloutPrompt> Fitting(
        StageSpec stage,
        AlignSpec align,
        List<RolloutPrompt> prompts,
        TextModel model,
        BatchSpec batch,
        string visit,
        RunObserver observer)
    {
        var room = batch.MaxLength!.Value - align.Rollout.MaxNewTokens;
        var fitting = prompts.Where(prompt => model.Contract.Encode([new Turn(prompt.Message)], model.Tokenizer).Length <= room).ToList();
        foreach (var prompt in fitting.Take(1))
        {
            var ids = model.Contract.Encode([new Turn(prompt.Message)], model.Tokenizer);
            PromptEndCheck.Refuse(
                stage.Name,
                prompt.Key,
                ids,
                model.Model.PromptEnd,
                model.Tokenizer);
        }
        var left = prompts.Count - fitting.Count;
        if (left > 0 && batch.Overlong == OverlongPolicy.Refuse)
            throw new InputException($"Stage {stage.Name}: {left} prompts leave no room for {align.Rollout.MaxNewTokens} new tokens in "
                + $"rows of {batch.MaxLength}, and batch.overlong is refuse. Choose drop, or lower rollout.maxNewTokens.");
        if (fitting.Count == 0)
            throw new InputException($"Stage {stage.Name}: no prompt leaves room for {align.Rollout.MaxNewTokens} new tokens in rows of "
                + $"{batch.MaxLength}. Lower rollout.maxNewTokens.");
        observer.Note($"{visit}: {fitting.Count:N0} prompts; {left:N0} left out, which would leave no room for "
            + $"{align.Rollout.MaxNewTokens} new tokens in rows of {batch.MaxLength:N0}");
        return fitting;
    }

    private static void Note(StageData data, string visit, RunObserver observer)
    {
        if (data.LayoutNote is { } layout)
            observer.Note($"{visit}: {layout}");
        foreach (var line in data.Report.Lines)
            observer.Note($"{visit}: {line}");
    }

    private static StageLesson Pairs(
        StageSpec stage,
        PreferSpec prefer,
        Materials materials,
        TextModel model,
        BatchSpec batch,
        string visit,
        RunObserver observer)
    {
        var data = materials.Data(stage.Name);
        data.Tell(DataSplit.Train, materials.Recipe);
        var (pairs, counts) = PreferenceItems.Of(
            stage.Name,
            data.Rows(DataSplit.Train),
            model,
            batch,
            data.Report);
        PreferenceItems.RequireSome(stage.Name, counts);
        Note(data, visit, observer);
        observer.Note($"{visit}: {counts.Told()}");
        var seed = materials.Recipe.Seed;
        var (heldOut, _) = PreferenceItems.Of(
            stage.Name,
            data.HeldOutRows(HeldOutRows(stage), seed),
            model,
            HeldOutBatch(batch, model.Model),
            new SourceReport(),
            heldOut: true);
        return new StageLesson(
            new DirectPreference(prefer.Beta, prefer.AnswerWeight), Source(stage, pairs, seed, visit), heldOut, counts);
    }

    private static int HeldOutRows(StageSpec stage) => (stage.Evaluate ?? new EvaluateSpec()).Rows;

    private static StageLesson Corpus(
        Objective objective,
        StageSpec stage,
        Materials materials,
        LanguageModel model,
        BatchSpec batch,
        string visit,
        RunObserver observer,
        IReadOnlyList<string>? labels)
    {
        var data = materials.Data(stage.Name);
        data.Tell(DataSplit.Train, materials.Recipe);
        // Rows that are filled leave room for virtual tokens.
        if (stage.FillsRows)
            batch = batch with { MaxLength = Math.Min(batch.MaxLength!.Value, model.Sizes.ContextLength - model.VirtualTokens) };
        var (items, counts) = data.Items(
            DataSplit.Train,
            materials.Tokenizer,
            batch,
            labels,
            model.PromptEnd);
        // The longest row says before the first step whether all fit with their virtual tokens.
        if (model.VirtualTokens > 0) model.Lay([items.SelectMany(item => item.Rows).MaxBy(row => row.Length)]).Dispose();
        observer.Note($"{visit}: {counts.Told()}");
        Note(data, visit, observer);
        var seed = materials.Recipe.Seed;
        var heldOut = data.HeldOut(
            materials.Tokenizer,
            HeldOutBatch(batch, model),
            labels,
            HeldOutRows(stage),
            seed,
            model.PromptEnd);
        return new StageLesson(objective, Source(stage, items, seed, visit), heldOut, counts);
    }

    // Rows that are only measured are cut where they would not fit with virtual tokens.
    private static BatchSpec HeldOutBatch(BatchSpec batch, LanguageModel model) =>
        batch with { MaxLength = Math.Min(batch.MaxLength!.Value, model.Sizes.ContextLength - model.VirtualTokens) };

    private static ItemSource Source(StageSpec stage, IReadOnlyList<Item> items, long seed, string visit) =>
        stage.Mix is { } shares ? new MixedItems(items, shares, seed, visit) : new CorpusItems(items, seed, visit);
}
