using Polymath.Models;
using Polymath.Text.Packing;
using Polymath.Text.Templates;

namespace Polymath.Training.Objectives.Scoring;

/// <summary>An answer in steps as a row: the prompt, then each step with a separator behind it, whose last token judges the step.</summary>
/// <param name="Row">The row.</param>
/// <param name="Places">The place of each step's last token in the row.</param>
public sealed record SteppedRow(TokenRow Row, IReadOnlyList<int> Places)
{
    /// <summary>Lays out an answer. Each step and each separator is encoded alone, as TRL does.</summary>
    /// <param name="key">The row's name.</param>
    /// <param name="prompt">What the user says.</param>
    /// <param name="steps">The steps.</param>
    /// <param name="separator">What stands behind each.</param>
    /// <param name="model">The model, for its layout and tokenizer.</param>
    /// <param name="most">The most tokens; later steps are left out.</param>
    public static SteppedRow Of(
        string key,
        string prompt,
        IReadOnlyList<string> steps,
        string separator,
        TextModel model,
        int most)
    {
        ArgumentNullException.ThrowIfNull(steps);
        ArgumentNullException.ThrowIfNull(model);
        List<int> ids = [.. model.Contract.Encode([new Turn(prompt)], model.Tokenizer)], places = [];
        var behind = model.Tokenizer.EncodePlain(separator);
        foreach (var step in steps)
        {
            int[] own = [.. model.Tokenizer.EncodePlain(step), .. behind];
            if (own.Length == 0 || ids.Count + own.Length > most) break;
            ids.AddRange(own);
            places.Add(ids.Count - 1);
        }
        int[] whole = [.. ids.Take(most)];
        return new SteppedRow(new TokenRow(whole, new float[whole.Length], key), places);
    }
}
