using Polymath.Recipes;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>Given words; a label's score is the mean of its words' (Schick &amp; Schütze 2021).</summary>
/// <param name="words">The words.</param>
/// <param name="reading">How a word of several tokens is read.</param>
public sealed class ManualVerbalizer(LabelWords words, WordReading reading = WordReading.First) : WordVerbalizer
{
    /// <inheritdoc/>
    public override WordTable Table { get; } = new(words, reading);

    /// <summary>A reading by its name.</summary>
    /// <param name="name">first, max or mean.</param>
    /// <exception cref="InputException">There is no such reading.</exception>
    public static WordReading Named(string name) => name switch
    {
        "first" => WordReading.First,
        "max" => WordReading.Max,
        "mean" => WordReading.Mean,
        _ => throw new InputException($"'{name}' is no way of reading a word of several tokens. Write first, max or mean."),
    };

    /// <inheritdoc/>
    protected override Tensor Together(Tensor words) => Mean(words);
}
