using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// Labels by the logits of the words that stand for them. Only these logits are computed. They are calibrated by rows that say nothing,
/// whose mean probabilities are those of the model as it is (Zhao et al. 2021), or by probabilities that were measured before (Hu et al.
/// 2022): the words' probabilities are divided by them.
/// </summary>
/// <param name="verbalizer">The words; freed with this.</param>
/// <param name="prior">The log-probabilities of the vocabulary [V] that were measured before; null for none.</param>
public sealed class WordLabels(WordVerbalizer verbalizer, Weight? prior = null) : LabelReading
{
    /// <inheritdoc/>
    public override Tensor Scores(AskedStates asked)
    {
        ArgumentNullException.ThrowIfNull(asked);
        return verbalizer.TokenScores(Logits(asked, asked.States), Prior(asked));
    }

    /// <inheritdoc/>
    public override Tensor? WordShares(AskedStates asked)
    {
        ArgumentNullException.ThrowIfNull(asked);
        return verbalizer.WordShares(Logits(asked, asked.States), Prior(asked));
    }

    private Tensor Logits(AskedStates asked, Tensor read) => asked.Model.Unembed(read.select(1, 0), verbalizer.Table.Tokens);

    private Tensor? Prior(AskedStates asked)
    {
        using var frozen = no_grad();
        if (asked.Bare is { } bare) return Logits(asked, bare).softmax(-1).mean([0]).log();
        return prior?.Value.index_select(0, tensor(verbalizer.Table.Tokens.ToArray(), device: prior.Value.device));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        verbalizer.Dispose();
        base.Dispose(disposing);
    }
}
