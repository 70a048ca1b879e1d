using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// Labels by the logits of the words that stand for them. Only these logits are computed. Rows that say nothing calibrate them: the log of
/// the words' mean probability there is taken off (Zhao et al. 2021).
/// </summary>
/// <param name="verbalizer">The words; freed with this.</param>
public sealed class WordLabels(WordVerbalizer verbalizer) : LabelReading
{
    /// <inheritdoc/>
    public override Tensor Scores(AskedStates asked)
    {
        ArgumentNullException.ThrowIfNull(asked);
        var (model, states, bare) = asked;
        Tensor Logits(Tensor read) => model.Unembed(read.select(1, 0), verbalizer.Table.Tokens);
        Tensor? prior = null;
        if (bare is not null)
        {
            using var frozen = no_grad();
            prior = Logits(bare).softmax(-1).mean([0]).log();
        }
        return verbalizer.TokenScores(Logits(states), prior);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => verbalizer.Dispose();
}
