using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Prompts;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>The words that a task's labels are read by, as a recipe gives them.</summary>
/// <param name="Words">The words of each label, as they stand in the text.</param>
/// <param name="Reading">How a word of several tokens is read.</param>
/// <param name="Shortened">The words that are read by their first token only, as sentences.</param>
public sealed record TaskWords(LabelWords Words, WordReading Reading, IReadOnlyList<string> Shortened)
{
    /// <summary>Reads the words for a tokenizer.</summary>
    /// <param name="labels">The labels, in order.</param>
    /// <param name="words">The words of each label; a missing label stands for itself.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="reading">How a word of several tokens is read.</param>
    /// <exception cref="InputException">A word has no token or is not in the vocabulary, or two labels share one.</exception>
    public static TaskWords Of(
        IReadOnlyList<string> labels,
        IReadOnlyDictionary<string, IReadOnlyList<string>>? words,
        Tokenizer tokenizer,
        WordReading reading = WordReading.First)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(tokenizer);
        foreach (var label in words?.Keys ?? [])
            if (!labels.Contains(label))
                throw new InputException($"The verbalizer has words for '{label}', which is not a label of the data; labels are "
                    + $"{string.Join(", ", labels)}.");
        var (chosen, shortened) = (new List<IReadOnlyList<string>>(), new List<string>());
        var owners = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var label in labels)
        {
            var own = new List<string>();
            foreach (var given in words?.GetValueOrDefault(label) ?? [label])
            {
                var word = given.StartsWith(LabelWords.Bare, StringComparison.Ordinal) ? given[LabelWords.Bare.Length..] : given;
                var ids = Known(label, word, tokenizer, reading);
                if (reading == WordReading.First && ids.Length > 1)
                    shortened.Add($"'{word}' is read by its first token '{tokenizer.TokenOf(ids[0])}' of {ids.Length}");
                var read = string.Join(' ', Read(ids, reading));
                if (owners.TryGetValue(read, out var owner) && owner != label)
                    throw Shared((owner, label), tokenizer, Read(ids, reading), reading);
                // Two words of one label that are read alike count once.
                if (owners.TryAdd(read, label)) own.Add(word);
            }
            chosen.Add(own);
        }
        return new(LabelWords.Exact(chosen, tokenizer), reading, shortened);
    }

    /// <summary>The verbalizer, which the caller frees.</summary>
    /// <param name="calibrates">Whether scores are calibrated, which needs probabilities among all words.</param>
    public ManualVerbalizer Verbalizer(bool calibrates = false) => new(Words, Reading) { Normalizes = calibrates };

    private static int[] Read(int[] ids, WordReading reading) => reading == WordReading.First ? ids[..1] : ids;

    private static int[] Known(string label, string word, Tokenizer tokenizer, WordReading reading)
    {
        var ids = tokenizer.EncodePlain(word);
        if (ids.Length == 0)
            throw new InputException($"The word '{word}' of the label '{label}' has no token. Give another word.");
        // A plain text gets no special token but the one for what is unknown.
        if (Read(ids, reading).Any(id => tokenizer.SpecialTokens.Values.Contains(id)))
            throw new InputException($"The word '{word}' of the label '{label}' is not in the vocabulary: the tokenizer gives it "
                + $"{string.Join(", ", Read(ids, reading).Select(id => $"'{tokenizer.TokenOf(id)}'"))}. Give another word.");
        return ids;
    }

    private static InputException Shared((string One, string Other) labels, Tokenizer tokenizer, int[] ids, WordReading reading)
    {
        var (one, other) = labels;
        return new(reading == WordReading.First
            ? $"The words of '{one}' and '{other}' begin with the same token, '{tokenizer.TokenOf(ids[0])}'. Give words that differ in "
                + "their first token, under verbalizer.words, or read all tokens of a word: verbalizer.read: mean."
            : $"'{one}' and '{other}' have the same word, '{tokenizer.Decode(ids)}'. Give words that differ, under verbalizer.words.");
    }
}
