namespace Polymath.Recipes;

/// <summary>Checks an align stage: its loss fits what it reads, and the loss's settings fit each other.</summary>
internal sealed class AlignChecks(Checks checks, StageSpec stage, string path)
{
    /// <summary>Runs every check.</summary>
    public void Run()
    {
        if (stage.Objective is not AlignSpec align)
            return;
        if (align.Rollout is not null)
            Sampled(align);
        else
            Ranked(align);
        if (align.By is DpoSpec dpo && checks.Sound(At("by")))
            Pairs(dpo);
        if (align.By is TpoSpec tpo && checks.Sound(At("by")))
            Triples(tpo);
        if (align.By is GrpoSpec grpo && checks.Sound(At("by")))
            Groups(grpo);
        if (align.By is DistillSpec distill && checks.Sound(At("by.teacher"))) Model(distill.Teacher, At("by.teacher"));
        if (align.By is PpoSpec { Critic: { } critic } && checks.Sound(At("by.critic"))) Model(critic, At("by.critic"));
    }

    private string At(string key) => $"{path}.{key}";

    private void Sampled(AlignSpec align)
    {
        if (align.Loss.LearnsLabels && checks.Sound(At("by"), At("by.kind")))
            checks.Fault(
                At("by.kind"),
                $"{align.Loss.Kind} learns from rows that say which answers are good",
                "leave out prompt, rewards and rollout, or write kind: dpo");
        if (align.Loss.ReadsGold && checks.Sound(At("by"), At("by.kind")))
            checks.Fault(
                At("by.kind"),
                $"{align.Loss.Kind} learns from rows with a third answer, in the column 'reference'",
                "leave out prompt, rewards and rollout, or write kind: dpo");
        if (align.Prompt is null && checks.Sound(At("prompt")))
            checks.Fault(path, "'prompt' is missing: rollout answers prompts", "add prompt: TEXT");
        if (align.Loss.ComparesAnswers && align.Rollout!.Answers < 2 && checks.Sound(At("rollout.answers"), At("by.kind")))
            checks.Fault(
                At("rollout.answers"),
                $"{align.Loss.Kind} compares the answers to one prompt, and there is one",
                "write 2 or more");
        foreach (var probe in (align.Probes ?? []).Where(probe => align.Rewards?.ContainsKey(probe) == true))
            checks.Fault(At("probes"), $"'{probe}' is learned, so it probes nothing", "name a reward that is not among rewards");
        if (!align.Loss.NeedsRewards && align.Rewards is not null && checks.Sound(At("rewards")))
            checks.Fault(At("rewards"), $"{align.Loss.Kind} learns from its teacher, not from rewards", "leave it out");
        if (align.Loss.NeedsRewards && align.Rewards is not { Count: > 0 } && checks.Sound(At("rewards")))
            checks.Fault(
                align.Rewards is null ? path : At("rewards"),
                "there are no rewards, by which the answers of a rollout are judged",
                "write rewards: {NAME: NUMBER}");
    }

    private void Ranked(AlignSpec align)
    {
        foreach (var (given, key) in new[]
        {
            (align.Prompt is not null, "prompt"), (align.Rewards is not null, "rewards"), (align.Probes is not null, "probes"),
        })
        {
            if (given && checks.Sound(At(key)))
                checks.Fault(
                    At(key),
                    $"'{key}' has no meaning without rollout: ranked answers are read from the rows",
                    "leave it out, or add rollout: {rounds: 1}");
        }
        if (align.Loss is { LearnsAnswers: true, ReadsAnswers: false } && checks.Sound(At("by"), At("by.kind")))
            checks.Fault(
                At("by.kind"),
                $"{align.Loss.Kind} learns from answers that the model samples",
                "add prompt, rewards and rollout, or write kind: dpo");
    }

    private void Groups(GrpoSpec grpo)
    {
        if (grpo.Loss == GroupLoss.Gmpo && grpo.Mean != TokenMean.Rows)
            checks.Fault(At("by.mean"), "the loss gmpo is a mean over each row's tokens", "write mean: rows");
        if (grpo.Ratio == RatioOver.Sequence && grpo.Loss is (GroupLoss.Gmpo or GroupLoss.Vespo))
            checks.Fault(At("by.ratio"), $"the loss {grpo.Loss} has a ratio of its own", "leave it out");
        if (grpo.MostRatio is not null && grpo.Loss is not (GroupLoss.Clipped or GroupLoss.Cispo))
            checks.Fault(At("by.mostRatio"), $"the loss {grpo.Loss} has no such bound", "leave it out");
    }

    // A model that a loss needs: an earlier stage, a folder, or an address.
    private void Model(string named, string at)
    {
        if (checks.StageNamed(named) is null && !HubAddress.IsAddress(named) && !checks.HasFolder(named))
            checks.Fault(
                at,
                $"there is no stage and no folder '{named}'",
                Nearest.Hint(named, [.. checks.Stages.Select(other => other.Name)], "stages"));
    }

    private void Triples(TpoSpec tpo)
    {
        if (tpo.LabelSmoothing > 0 && tpo.Loss is (TpoLoss.Hinge or TpoLoss.Ipo))
            checks.Fault(
                At("by.labelSmoothing"),
                $"the loss {tpo.Loss} has no label smoothing",
                "leave it out, or write loss: sigmoid");
        if (tpo.Gamma is { } && tpo.Loss != TpoLoss.TpoL)
            checks.Fault(At("by.gamma"), $"the loss {tpo.Loss} has no margin", "leave it out, or write loss: tpoL");
    }

    private void Pairs(DpoSpec dpo)
    {
        if (dpo.Loss is (DpoLoss.Robust or DpoLoss.ExoPair) && dpo.LabelSmoothing is (0 or 0.5))
            checks.Fault(At("by.labelSmoothing"), $"{dpo.Loss} needs a labelSmoothing between 0 and 0.5", "write labelSmoothing: 0.1");
        if (dpo.LabelSmoothing > 0
            && dpo.Loss is not (DpoLoss.Sigmoid or DpoLoss.Robust or DpoLoss.ExoPair or DpoLoss.Aot or DpoLoss.AotUnpaired))
            checks.Fault(
                At("by.labelSmoothing"),
                $"the loss {dpo.Loss} has no label smoothing",
                "leave it out, or write loss: sigmoid");
        if (dpo.Divergence != ScoreDivergence.ReverseKl && dpo.Loss is (DpoLoss.Aot or DpoLoss.AotUnpaired or DpoLoss.ApoZero))
            checks.Fault(At("by.divergence"), $"the loss {dpo.Loss} uses plain log-ratios", "leave it out");
    }
}
