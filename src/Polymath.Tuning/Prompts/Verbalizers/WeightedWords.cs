using Polymath.Models;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// Words with learned weights (Hu et al. 2022, eq. 6): a label's score is the mean of its words', weighted by the softmax of their weights,
/// which start at zero.
/// </summary>
/// <param name="words">The words.</param>
/// <param name="reading">How a word of several tokens is read.</param>
/// <param name="take">Gives the weights [C, W] by their first values.</param>
public sealed class WeightedWords(
    LabelWords words,
    Recipes.WordReading reading,
    Func<Func<Tensor>, Weight> take) : WordVerbalizer
{
    private const double Absent = 10000;

    private readonly Weight weights = take(() => zeros(words.Words.Count, words.Words.Max(label => label.Count)));

    /// <inheritdoc/>
    public override WordTable Table { get; } = new(words, reading);

    /// <inheritdoc/>
    protected override Tensor Together(Tensor words)
    {
        ArgumentNullException.ThrowIfNull(words);
        var mask = Table.Mask.to(words.device);
        return (words * mask * (weights.Value - (Absent * (1 - mask))).softmax(-1)).sum(-1);
    }
}
