namespace Polymath.Recipes;

/// <summary>Checks how the settings of an optimizer go together.</summary>
internal sealed class OptimizerChecks(Checks checks, OptimizerSpec? optimizer, ScheduleSpec? schedule, string path)
{
    /// <summary>Runs every check.</summary>
    public void Run()
    {
        if (optimizer is AdafactorSpec adafactor)
            Adafactor(adafactor);
        if (optimizer is SgdSpec { Nesterov: true, Momentum: 0 } && checks.Sound($"{path}.momentum", $"{path}.nesterov"))
            checks.Fault($"{path}.nesterov", "'nesterov' looks ahead along a momentum, and there is none", "add momentum: 0.9");
    }

    private void Adafactor(AdafactorSpec spec)
    {
        if (spec.WarmupInit && !spec.RelativeStep && checks.Sound($"{path}.warmupInit", $"{path}.relativeStep"))
            checks.Fault(
                $"{path}.warmupInit", "'warmupInit' has no meaning without relativeStep", "add relativeStep: true, or leave it out");
        if (spec.Epsilon2 != 1e-3 && !spec.ScaleParameter && checks.Sound($"{path}.epsilon2", $"{path}.scaleParameter"))
            checks.Fault(
                $"{path}.epsilon2", "'epsilon2' has no meaning without scaleParameter", "add scaleParameter: true, or leave it out");
        if (!spec.RelativeStep || !checks.Sound($"{path}.rate", $"{path}.relativeStep"))
            return;
        if (spec.Rate != 1)
            checks.Fault(
                $"{path}.rate",
                $"relativeStep brings a rate of its own, and rate is {spec.Rate}",
                "write rate: 1, or leave relativeStep out");
        if ((schedule ?? new ScheduleSpec()).Kind != ScheduleKind.Constant)
            checks.Fault(
                $"{path}.relativeStep",
                "relativeStep brings a schedule of its own",
                "add schedule: {kind: constant} to the stage, or leave it out");
    }
}
