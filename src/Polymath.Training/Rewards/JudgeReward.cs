using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Training.Rewards;

/// <summary>
/// What a language model says of an answer when it is asked: the mean of its words' values, weighted by the probabilities of their first
/// tokens among those of all words.
/// </summary>
public sealed class JudgeReward : Reward
{
    private readonly TextModel model;
    private readonly FieldText question;
    private readonly ManualVerbalizer words;
    private readonly double[] values;

    /// <summary>A model as a judge.</summary>
    /// <param name="model">The model; it is freed with the reward.</param>
    /// <param name="spec">The question, and the words with their values.</param>
    /// <param name="name">The reward's name, for messages.</param>
    /// <exception cref="InputException">The model has no head over words, or two words begin with the same token.</exception>
    public JudgeReward(TextModel model, JudgeRewardSpec spec, string name)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(spec);
        if (model.Model.Labels is not null || model.Model.Reading != Reading.Decoder)
            throw new InputException($"The reward {name}: a judge answers in words, and its model does not. Name a language model, or "
                + "write kind: model.");
        this.model = model;
        question = new FieldText(spec.Prompt);
        words = TaskWords.Of([.. spec.Words.Keys], null, model.Tokenizer).Verbalizer();
        values = [.. spec.Words.Values];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<double> Scores(IReadOnlyList<AskedAnswer> answers, CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(answers);
        using var frozen = no_grad();
        var rows = answers.Select(Row).ToList();
        var scores = new List<double>();
        var most = model.Model.Sizes.ContextLength;
        foreach (var part in TokenChunks.Of(rows, row => row.Length, TokenChunks.Measured))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            // A question without its end asks nothing.
            var fitting = part.Where(row => row.Length <= most).ToList();
            using var batch = fitting.Count == 0 ? null : model.Model.Lay(fitting);
            var said = new Queue<double>(batch is null
                ? []
                : (Said(batch).softmax(-1) * tensor(values, device: model.Model.Device)).sum(-1).cpu().data<double>().ToArray());
            scores.AddRange(part.Select(row => row.Length <= most ? said.Dequeue() : double.NaN));
        }
        return scores;
    }

    // The words' scores [rows, words] behind each question.
    private Tensor Said(Batch batch) => words.TokenScores(model.Model.Unembed(
        model.Model.Hidden(batch).index_select(0, batch.LastPlaces().to(model.Model.Device)), words.Table.Tokens));

    private TokenRow Row(AskedAnswer answer)
    {
        var fields = new Dictionary<string, string>(answer.Fields, StringComparer.Ordinal)
        {
            ["prompt"] = answer.Prompt,
            ["answer"] = answer.Answer,
        };
        var ids = model.Contract.Encode([new Turn(question.Fill(fields))], model.Tokenizer);
        return new TokenRow(ids, new float[ids.Length], answer.Prompt);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            words.Dispose();
            model.Dispose();
        }
        base.Dispose(disposing);
    }
}
