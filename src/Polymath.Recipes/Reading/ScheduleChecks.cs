namespace Polymath.Recipes;

/// <summary>Checks that each setting of a schedule has a meaning for its kind, and that the parts fit into the stage's steps.</summary>
internal sealed class ScheduleChecks(Checks checks, ScheduleSpec schedule, int? steps, string path)
{
    /// <summary>Runs every check.</summary>
    public void Run()
    {
        if (!checks.Sound($"{path}.kind"))
            return;
        Only("decayShare", schedule.DecayShare is not null, ScheduleKind.Wsd);
        Only("decaySteps", schedule.DecaySteps is not null, ScheduleKind.Wsd);
        Only("decayShape", schedule.DecayShape is not null, ScheduleKind.Wsd);
        Only("timescale", schedule.Timescale is not null, ScheduleKind.InverseSqrt);
        Only("power", schedule.Power is not null, ScheduleKind.Polynomial);
        Only("cycles", schedule.Cycles is not null, ScheduleKind.Restarts);
        if (schedule is { Kind: ScheduleKind.InverseSqrt, Floor: > 0 } && checks.Sound($"{path}.floor"))
            checks.Fault($"{path}.floor", "'kind: inverseSqrt' falls without an end and has no floor", "leave it out");
        if (schedule is { Kind: ScheduleKind.Constant, Floor: > 0 } && checks.Sound($"{path}.floor"))
            checks.Fault($"{path}.floor", "'kind: constant' does not fall and has no floor", "leave it out");
        if (schedule is { DecayShare: not null, DecaySteps: not null } && checks.Sound($"{path}.decayShare", $"{path}.decaySteps"))
            checks.Fault($"{path}.decaySteps", "'decayShare' and 'decaySteps' are both given", "keep one of the two");
        if (steps is { } all && schedule.DecaySteps > all - schedule.WarmupOf(all) && checks.Sound($"{path}.decaySteps", $"{path}.warmup"))
            checks.Fault(
                $"{path}.decaySteps",
                $"a decay of {schedule.DecaySteps} steps does not fit behind a warmup of {schedule.WarmupOf(all)} in {all} steps",
                $"write {Math.Max(1, all - schedule.WarmupOf(all))} or less");
        // A cycle of less than a step never falls.
        if (steps is { } whole && schedule.Cycles > whole - schedule.WarmupOf(whole) && checks.Sound($"{path}.cycles", $"{path}.warmup"))
            checks.Fault(
                $"{path}.cycles",
                $"{schedule.Cycles} cycles do not fit behind a warmup of {schedule.WarmupOf(whole)} in {whole} steps",
                $"write {Math.Max(1, whole - schedule.WarmupOf(whole))} or less");
    }

    private void Only(string key, bool there, ScheduleKind kind)
    {
        if (!there || schedule.Kind == kind || !checks.Sound($"{path}.{key}"))
            return;
        var (home, here) = (Shape.Camel(kind.ToString()), Shape.Camel(schedule.Kind.ToString()));
        checks.Fault($"{path}.{key}", $"'{key}' belongs to 'kind: {home}', not to 'kind: {here}'", $"remove it, or write kind: {home}");
    }
}
