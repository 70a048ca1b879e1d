using Polymath.Recipes;
using Polymath.Text.Templates;
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
        var source = new RolloutItems(
            context.Model,
            prompts,
            new Judge(
                [.. align.Rewards!.Select(pair => (pair.Key, (Func<Reward>)(() => context.Materials.Rewards.Of(pair.Key)), pair.Value))]),
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
        return new Lesson(AlignLoss.Of(align), source, []);
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
