using Polymath.Recipes;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Rewards;
using Polymath.Training.Rollouts;
using Polymath.Training.Stages;

namespace Polymath.Training.Lessons;

/// <summary>Answers that the model samples, judged by rewards.</summary>
internal static class SampledLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    /// <param name="align">The stage's settings.</param>
    /// <param name="rollout">How answers are sampled.</param>
    internal static Lesson Of(LessonContext context, AlignSpec align, RolloutSpec rollout)
    {
        var data = context.Data;
        var prompts = Fitting(
            context, rollout, [.. data.Rows(DataSplit.Train).Select(row => new RolloutPrompt(row.Key, data.Prompt(row), row.Fields))]);
        context.NoteRows();
        var (objective, estimator, lesson) = Learned(context, align, rollout);
        var source = new RolloutItems(
            context.Model,
            prompts,
            JudgeOf(context, align),
            estimator,
            rollout,
            context.Stage.Steps!.Value,
            context.Seed,
            context.Visit,
            Path.Combine(context.Folder, RolloutFiles.Folder),
            (round, name, value, speed) =>
            {
                context.Record("rollout " + name, value, speed);
                context.Note($"round {round}, {name} {value:G4}");
            })
        {
            Start = context.Start,
            Note = context.Note,
        };
        return lesson(objective, source);
    }

    private static Judge JudgeOf(LessonContext context, AlignSpec align)
    {
        Func<Reward> Opened(string name) => () => context.Materials.Rewards.Of(name);
        return new Judge(
            [.. (align.Rewards ?? new Dictionary<string, double>()).Select(pair => (pair.Key, Opened(pair.Key), pair.Value))],
            [.. (align.Probes ?? []).Select(name => (name, Opened(name)))]);
    }

    // The formula, what makes items of answers, and the lesson with what it has opened.
    private static (Objective Objective, Estimator Estimator, Func<Objective, ItemSource, Lesson> Lesson) Learned(
        LessonContext context,
        AlignSpec align,
        RolloutSpec rollout)
    {
        if (align.Loss is DistillSpec distill && context.HasOther(distill.Teacher))
        {
            var (objective, teacher) = DistillLesson.Objective(context, distill);
            return (objective, AlignLoss.Estimator(align), (formula, source) => new Lesson(formula, source, []) { Owned = teacher });
        }
        if (align.Loss is DistillSpec)
            return (new NextToken(), AlignLoss.Estimator(align), (formula, source) => new Lesson(formula, source, []));
        if (align.Loss is not PpoSpec ppo)
            return (AlignLoss.Of(align), AlignLoss.Estimator(align), (formula, source) => new Lesson(formula, source, []));
        Critic critic = ppo.Critic is { } named && context.HasOther(named)
            ? new ModelCritic(context.Other(named))
            : new TrunkCritic(context.Model.Model.Sizes.HiddenSize, context.Model.Model.Device);
        return (
            new ActorCritic(
                critic,
                new ClippedLoss(ppo.Clip, ppo.Clip),
                new ValueLoss(ppo.ValueClip > 0 ? ppo.ValueClip : null),
                ppo.ValueWeight,
                rollout.Temperature),
            new Trajectories(ppo, critic, rollout.Temperature),
            (formula, source) => new Lesson(formula, source, [])
            {
                Weights = critic.Weights,
                Save = folder => AtomicFile.WriteFolder(Path.Combine(folder, "critic"), critic.Save),
                Owned = critic,
            });
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
}
