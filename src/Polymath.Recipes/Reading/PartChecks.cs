namespace Polymath.Recipes;

/// <summary>Checks one thing that a stage learns: the stage itself, or a term of a mix.</summary>
/// <param name="checks">What every check needs.</param>
/// <param name="stage">The stage, or the term as a stage.</param>
/// <param name="path">Where it stands in the recipe.</param>
internal sealed class PartChecks(Checks checks, StageSpec stage, string path)
{
    /// <summary>Runs every check.</summary>
    public void Run()
    {
        new AlignChecks(checks, stage, path).Run();
        if (stage.Objective is RewardModelSpec { Process: not null, Centering: > 0 } && checks.Sound(At("centering")))
            checks.Fault(At("centering"), "steps are right or wrong, and have no scores to centre", "leave it out");
        if (stage.Objective is PretrainSpec { Mask: { } mask } && mask.MaskedShare + mask.RandomShare > 1
            && checks.Sound(At("mask.masked"), At("mask.random")))
            checks.Fault(
                At("mask.random"),
                $"{mask.MaskedShare} of the masked words and {mask.RandomShare} of random ones are more than all",
                $"write {1 - mask.MaskedShare:0.##} or less");
        Batches();
        Mixed();
    }

    private string At(string key) => $"{path}.{key}";

    private void Batches()
    {
        if (stage.Batch is not { } batch)
            return;
        if (batch.MicroTokens > batch.Tokens && checks.Sound(At("batch.tokens"), At("batch.microTokens")))
            checks.Fault(
                At("batch.microTokens"),
                $"{batch.MicroTokens} is more than the {batch.Tokens} tokens of a step",
                $"write {batch.Tokens} or less");
        if (batch.MicroRows > batch.Rows && checks.Sound(At("batch.rows"), At("batch.microRows")))
            checks.Fault(
                At("batch.microRows"), $"{batch.MicroRows} is more than the {batch.Rows} rows of a step", $"write {batch.Rows} or less");
        if (batch.MaxCut < 1 && (stage.ReadsPairs || stage.ReadsJudged) && checks.Sound(At("batch.maxCut")))
            checks.Fault(At("batch.maxCut"), "an align stage counts the rows that are cut, not their targets", "leave it out");
        if (batch.Fill is not null && stage.Objective is not (null or PretrainSpec) && checks.Sound(At("batch.fill")))
            checks.Fault(
                At("batch.fill"), $"a row of the kind {stage.Objective.Kind} is one thing and is not filled up", "leave it out");
        if (batch.Overlong == OverlongPolicy.Split && stage.Objective is not (null or PretrainSpec) && checks.Sound(At("batch.overlong")))
            checks.Fault(
                At("batch.overlong"),
                $"a row of the kind {stage.Objective.Kind} cannot be split",
                "write cut, drop or refuse");
        if (checks.Recipe.Model is INewModel model && batch.MaxLength > model.ContextLength
            && checks.Sound(At("batch.maxLength"), "model.contextLength"))
        {
            checks.Fault(At("batch.maxLength"),
                $"{batch.MaxLength} is more than the model's contextLength of {model.ContextLength}",
                $"write {model.ContextLength} or less");
        }
    }

    private void Mixed()
    {
        if (stage.Mix is not { } mix || !checks.Sound(At("mix"), At("data")))
            return;
        foreach (var (name, weight) in mix)
        {
            if (!stage.Sources.Contains(name))
                checks.Fault(
                    At($"mix.{name}"), $"'{name}' is none of the stage's sources", $"write one of {string.Join(", ", stage.Sources)}");
            else if (!(weight > 0) || !double.IsFinite(weight))
                checks.Fault(At($"mix.{name}"), $"{weight} is no share", "write a number above 0, or take the source out of data");
        }
        if (stage.SamplesAnswers)
            checks.Fault(At("mix"), "an align stage samples its own answers and reads no shares", "leave it out");
    }
}
