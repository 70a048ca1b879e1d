using Polymath.Recipes;

namespace Polymath.Training.Stages;

/// <summary>How big a stage's steps are, and how many there are, once its items are known.</summary>
internal static class StageLength
{
    /// <summary>The batch of a stage. Small data gets steps, too: a pass is cut into some where the recipe names no size.</summary>
    /// <param name="batch">The batch as the recipe has it.</param>
    /// <param name="source">The items.</param>
    /// <param name="note">Is told of a size that was chosen.</param>
    internal static BatchSpec Sized(BatchSpec batch, ItemSource source, Action<string> note)
    {
        source.CrossesEpochs = batch.CrossEpochs;
        if (batch.Tokens is not null || batch.Rows is not null) return batch;
        if (source.Tokens / BatchSpec.UsualSteps is not { } small || small >= BatchSpec.UsualTokens)
            return batch with { Tokens = BatchSpec.UsualTokens };
        var tokens = (int)Math.Max(1, small);
        note($"a step reads {tokens:N0} tokens, an eighth of the data, as batch names neither tokens nor rows");
        return batch with { Tokens = tokens };
    }

    /// <summary>The steps of a stage; one that goes on counts its epochs from where it is.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="batch">The size of its steps.</param>
    /// <param name="source">The items.</param>
    /// <param name="done">The steps done before.</param>
    /// <param name="note">Is told how many steps epochs are.</param>
    /// <exception cref="InputException">Fewer steps are asked for than were done, or the warmup is longer than the stage.</exception>
    internal static int Steps(
        StageSpec stage,
        BatchSpec batch,
        ItemSource source,
        int done,
        Action<string> note)
    {
        var steps = stage.Steps
            ?? done + source.StepsFor(stage.Epochs!.Value, batch.Tokens ?? int.MaxValue, batch.Rows ?? int.MaxValue);
        if (done > steps)
            throw new InputException($"Stage {stage.Name} has done {done:N0} steps, and the recipe asks for {steps:N0}. Ask for as many or "
                + "more, or start again with --fresh.");
        if (stage.Epochs is { } epochs)
            note($"{epochs:0.###} epochs of {source.Count:N0} rows are {steps:N0} steps");
        var schedule = stage.Schedule ?? new ScheduleSpec();
        var warmup = schedule.WarmupOf(steps);
        if (warmup > steps)
            throw new InputException($"Stage {stage.Name}: schedule.warmup {warmup:N0} is longer than its {steps:N0} steps. Write a "
                + "share of the steps, such as 0.1, or fewer steps.");
        return schedule.DecaySteps is not { } decay || decay <= steps - warmup
            ? steps
            : throw new InputException($"Stage {stage.Name}: schedule.decaySteps {decay:N0} does not fit behind a warmup of {warmup:N0} "
                + $"in its {steps:N0} steps. Write decayShare, such as 0.1, or fewer steps.");
    }
}
