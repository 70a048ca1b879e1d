using Polymath.Models;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// WARP's labels (Hambardzumyan et al. 2021) as a stage trains them: each label has a learned row of the output head, and a bias where the
/// head has one. They start as the means over the label's words, so that the first scores are those of the words, whose tokens' logits are
/// averaged. The head's own layers, factor and cap apply.
/// </summary>
public sealed class SoftLabels : LabelReading
{
    private readonly Weight rows;
    private readonly Weight? bias;

    /// <summary>A reading.</summary>
    /// <param name="model">The model, whose head is the start.</param>
    /// <param name="words">The words of the labels.</param>
    /// <param name="take">Gives a weight by its name and its first values.</param>
    public SoftLabels(LanguageModel model, LabelWords words, Func<string, Func<Tensor>, Weight> take)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(words);
        ArgumentNullException.ThrowIfNull(take);
        Tensor Means(Func<Tensor, Tensor> of) => stack(
            words.Ids.Select(label => stack(
                label.Select(word => of(tensor(Array.ConvertAll(word, id => (long)id), device: model.Device)).mean([0])), 0).mean([0])), 0);
        rows = take("verbalizer.weight", () => Means(ids => model.Tokens.HeadMatrix.index_select(0, ids).to(ScalarType.Float32)));
        if (model.Tokens.Bias is not null) bias = take("verbalizer.bias", () => Means(ids => model.Tokens.Bias!.index_select(0, ids)));
    }

    /// <inheritdoc/>
    public override Tensor Scores(AskedStates asked)
    {
        ArgumentNullException.ThrowIfNull(asked);
        var (model, states, _) = asked;
        var scores = nn.functional.linear(model.Readout(states.select(1, 0)), rows.Value, bias?.Value);
        return model.Tokens.SoftCap > 0 ? (scores / model.Tokens.SoftCap).tanh() * model.Tokens.SoftCap : scores;
    }
}
