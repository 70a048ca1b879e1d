using Polymath.Recipes;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>One word for each label; a label's score is its word's.</summary>
public sealed class OneToOneVerbalizer : WordVerbalizer
{
    /// <summary>A verbalizer.</summary>
    /// <param name="words">The word of each label.</param>
    /// <param name="reading">How a word of several tokens is read.</param>
    /// <exception cref="InputException">A label has several words.</exception>
    public OneToOneVerbalizer(LabelWords words, WordReading reading = WordReading.First)
    {
        ArgumentNullException.ThrowIfNull(words);
        for (var label = 0; label < words.Words.Count; label++)
            if (words.Words[label].Count > 1)
                throw new InputException($"Label {label + 1} has {words.Words[label].Count} words, but one for each label is read "
                    + "here. Use "
                    + "the manual verbalizer for several.");
        Table = new(words, reading);
    }

    /// <inheritdoc/>
    public override WordTable Table { get; }

    /// <inheritdoc/>
    protected override Tensor Together(Tensor words)
    {
        ArgumentNullException.ThrowIfNull(words);
        return words.squeeze(-1);
    }
}
