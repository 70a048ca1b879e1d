using Polymath.Recipes;
using Polymath.Runs.Reports;

namespace Polymath.Training;

/// <summary>Whether a finished stage goes on because the recipe now asks for more of it, or for more patience.</summary>
internal static class StageExtension
{
    /// <summary>Whether the stage goes on.</summary>
    /// <param name="stage">The stage as the recipe asks for it now.</param>
    /// <param name="report">What was done, and what was asked for then.</param>
    /// <param name="observer">Is told where more steps change nothing.</param>
    /// <exception cref="InputException">The recipe asks for less than was done.</exception>
    internal static bool Asked(StageSpec stage, StageReport report, RunObserver observer)
    {
        if (report.Aim is not { } aim) return false;
        double asked = stage.Steps ?? stage.Epochs!.Value, had = aim.Steps ?? aim.Epochs!.Value;
        if (stage.Steps is null != aim.Steps is null)
            had = stage.Steps is null ? report.Epochs ?? 0 : report.Steps;
        if (asked < had)
            throw new InputException($"Stage {stage.Name} was trained for {had:0.###} {(stage.Steps is null ? "epochs" : "steps")}, "
                + $"and the recipe asks for {asked:0.###}. Ask for as many or more, or start again with --fresh.");
        var patient = stage.Evaluate?.Patience is not { } patience || patience > aim.Patience;
        if (aim.EndedEarly && asked > had && !patient)
            observer.Note($"{stage.Name} ended early, so more steps change nothing: raise evaluate.patience, or leave it out.");
        return aim.EndedEarly ? patient : asked > had;
    }
}
