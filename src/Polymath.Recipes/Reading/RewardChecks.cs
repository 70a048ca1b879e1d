namespace Polymath.Recipes;

/// <summary>Checks a reward that is more than a pattern: its settings fit each other, and its model can be there.</summary>
internal sealed class RewardChecks(Checks checks, RewardSpec reward, string path)
{
    /// <summary>Runs every check.</summary>
    public void Run()
    {
        switch (reward)
        {
            case LengthRewardSpec { Most: { } most } length when length.Least > most && checks.Sound(At("least"), At("most")):
                checks.Fault(At("least"), $"{length.Least} is more than the most of {most}", $"write {most} or less");
                break;
            case ProgramRewardSpec { Command: { } command } when command.Count == 0 || command[0].Length == 0:
                checks.Fault(At("command"), "there is no program", "write command: [python3, score.py]");
                break;
            case ModelRewardSpec model:
                Model(model.Stage, model.Folder, heads: true);
                break;
            case JudgeRewardSpec judge:
                Model(judge.Stage, judge.Folder, heads: false);
                if (judge.Words is { Count: < 2 } && checks.Sound(At("words")))
                    checks.Fault(At("words"), "a judge chooses among two words or more", "write words: {yes: 1, no: 0}");
                break;
        }
    }

    private string At(string key) => $"{path}.{key}";

    private void Model(string? stage, string? folder, bool heads)
    {
        if (!checks.Sound(At("stage"), At("folder"))) return;
        if (stage is null == folder is null)
            checks.Fault(
                path,
                stage is null ? "nothing says which model scores" : "'stage' and 'folder' are both given",
                stage is null ? "add folder: FOLDER, or stage: NAME of an earlier stage" : "keep one of the two");
        if (checks.StageNamed(stage) is { Objective: not null } named && named.TrainsHead != heads)
            checks.Fault(
                At("stage"),
                heads ? $"'{stage}' trains no head that scores" : $"'{stage}' trains a head over labels, and a judge answers in words",
                heads ? "name a stage of the kind reward or task, or write kind: judge" : "name a language model, or write kind: model");
    }
}
