using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>A recipe's rewards. Each is made when it is first needed, and kept while its model is the same.</summary>
/// <param name="materials">The run's data and layout.</param>
public sealed class RewardSet(Materials materials) : IDisposable
{
    private readonly Dictionary<string, (string? Folder, Reward Reward)> made = new(StringComparer.Ordinal);

    /// <summary>The run's folder, in which the models of finished stages lie; null where there is no run.</summary>
    public string? Run { get; set; }

    /// <summary>Whether a reward can score: its model is there.</summary>
    /// <param name="name">The reward.</param>
    public bool Has(string name) => StageOf(Spec(name)) is not { } stage || Finished(stage) is not null;

    /// <summary>A reward.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="InputException">Its model cannot be opened, or its stage is not trained.</exception>
    public Reward Of(string name)
    {
        var spec = Spec(name);
        var folder = FolderOf(name, spec);
        if (made.TryGetValue(name, out var kept))
        {
            if (kept.Folder == folder) return kept.Reward;
            kept.Reward.Dispose();
        }
        Reward reward = spec switch
        {
            ModelRewardSpec model => Of(TextModel.Open(folder!), name, model),
            JudgeRewardSpec judge => new JudgeReward(TextModel.Open(folder!), judge, name),
            _ => Reward.Of(spec, table => materials.Corpora.Classes(table).ClassOf, materials.BaseFolder),
        };
        made[name] = (folder, reward);
        return reward;
    }

    private Reward Of(TextModel model, string name, ModelRewardSpec spec) =>
        model.Model.Labels is { Task: LabelTask.Tag, Labels: 2 }
            ? new StepReward(model, spec.Separator ?? Trained(spec)?.Separator ?? "\n", spec.Steps)
            : new ModelReward(model, name, spec.Label);

    private StepLabelsSpec? Trained(ModelRewardSpec spec) =>
        (materials.Recipe.Stages.FirstOrDefault(stage => stage.Name == spec.Stage)?.Objective as RewardModelSpec)?.Process;

    private RewardSpec Spec(string name) => materials.Recipe.Rewards![name];

    private static string? StageOf(RewardSpec spec) => (spec as ModelRewardSpec)?.Stage ?? (spec as JudgeRewardSpec)?.Stage;

    private string? FolderOf(string name, RewardSpec spec)
    {
        if (StageOf(spec) is { } stage)
            return Finished(stage) ?? throw new InputException($"The reward {name} needs the model of stage {stage}, which is not trained "
                + "yet. Put the stage before the one that needs the reward.");
        var named = (spec as ModelRewardSpec)?.Folder ?? (spec as JudgeRewardSpec)?.Folder;
        return named is null ? null : Path.GetFullPath(named, Path.GetFullPath(materials.BaseFolder));
    }

    /// <summary>The model of a stage's last finished visit; null where there is none.</summary>
    /// <param name="stage">The stage.</param>
    internal string? Finished(string stage)
    {
        if (Run is null) return null;
        var stages = Path.Combine(Run, "stages");
        if (!Directory.Exists(stages)) return null;
        var names = materials.Recipe.Visits().Select((visit, i) => (visit, i)).Where(pair => pair.visit.Stage.Name == stage)
            .Select(pair => Path.Combine(stages, $"{pair.i + 1:D2}-{pair.visit.Name}", "model"));
        return names.LastOrDefault(Directory.Exists);
    }

    /// <summary>Ends the programs and frees the models.</summary>
    public void Dispose()
    {
        foreach (var (_, reward) in made.Values) reward.Dispose();
        made.Clear();
    }
}
