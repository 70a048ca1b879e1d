using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using static TorchSharp.torch;

namespace Polymath.Training.Rewards;

/// <summary>
/// What a model with a head over labels says of a conversation: the score of a reward model, or the probability of a label.
/// </summary>
public sealed class ModelReward : Reward
{
    private readonly TextModel model;
    private readonly int label;

    /// <summary>A model as a reward.</summary>
    /// <param name="model">The model; it is freed with the reward.</param>
    /// <param name="name">The reward's name, for messages.</param>
    /// <param name="label">The label whose probability counts; null for a reward model.</param>
    /// <exception cref="InputException">The model has no head over labels, or not that label.</exception>
    public ModelReward(TextModel model, string name, string? label)
    {
        ArgumentNullException.ThrowIfNull(model);
        this.model = model;
        if (model.Model.Labels is not { } head || head.Task == LabelTask.Tag)
            throw new InputException($"The reward {name}: its model has no head that scores whole texts. Name a reward model or a "
                + "classifier, or ask a language model: {kind: judge, prompt: TEXT, words: {yes: 1, no: 0}}.");
        if (label is null && head.Labels > 1)
            throw new InputException($"The reward {name}: its model has {head.Labels} labels. Add label: {head.Names[0]}, or another of "
                + $"{string.Join(", ", head.Names)}.");
        this.label = label is null ? 0 : head.Names.ToList().IndexOf(label);
        if (this.label < 0)
            throw new InputException($"The reward {name}: its model has no label '{label}'; it has {string.Join(", ", head.Names)}.");
    }

    /// <inheritdoc/>
    public override IReadOnlyList<double> Scores(IReadOnlyList<AskedAnswer> answers, CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(answers);
        using var frozen = no_grad();
        var rows = answers.Select(Row).ToList();
        var scores = new List<double>();
        foreach (var part in TokenChunks.Of(rows, row => row.Length, TokenChunks.Measured))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var batch = model.Model.Lay(part);
            var all = LabelScores.Scores(model.Model, batch);
            var own = model.Model.Labels!.Task switch
            {
                LabelTask.Classify => all.softmax(-1),
                LabelTask.MultiLabel => all.sigmoid(),
                _ => all,
            };
            scores.AddRange(own.select(1, label).to(ScalarType.Float64).cpu().data<double>());
        }
        return scores;
    }

    // The whole conversation, cut where it is longer than the context.
    private TokenRow Row(AskedAnswer answer)
    {
        var talk = new Conversation(answer.Prompt, [new Turn(answer.Prompt, answer.Answer)]);
        var row = model.Contract.Render(talk, model.Tokenizer).Tokenize(model.Tokenizer);
        var most = model.Model.Sizes.ContextLength;
        return row.Length <= most ? row : row with { Ids = row.Ids[..most], Learn = row.Learn[..most] };
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) model.Dispose();
        base.Dispose(disposing);
    }
}
