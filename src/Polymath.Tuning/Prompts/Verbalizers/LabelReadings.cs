using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>Makes the reading of each kind of verbalizer from what is saved of it.</summary>
/// <param name="model">The model.</param>
/// <param name="verbalizer">The verbalizer.</param>
/// <param name="labels">The labels, in order.</param>
/// <param name="take">Gives a weight by its name, its first values, and whether it is trained.</param>
internal sealed class LabelReadings(
    TextModel model,
    TaskVerbalizer verbalizer,
    IReadOnlyList<string> labels,
    Func<string, Func<Tensor>, bool, Weight> take)
{
    private readonly LanguageModel network = model.Model;

    /// <summary>The labels' words, with those that are read by their first token only; null for texts.</summary>
    internal TaskWords? Words() => verbalizer.Kind switch
    {
        // Where words are still to be found, labels stand for nothing: those of some scripts begin with the same token.
        "texts" or TaskVerbalizer.Nothing or AskedChain.WrittenKind => null,
        // Two labels may share a token where each has many words, or where the search found it so.
        "search" => new TaskWords(LabelWords.Given(InOrder(verbalizer.Words!), InOrder(verbalizer.Tokens!)), WordReading.First, []),
        "knowledge" => new TaskWords(LabelWords.Exact(InOrder(verbalizer.Words!), model.Tokenizer), verbalizer.Reading, []),
        "rules" => Rules(),
        _ => TaskWords.Of(labels, verbalizer.Words, model.Tokenizer, verbalizer.Reading),
    };

    /// <summary>The reading; null for one that reads texts, or nothing yet.</summary>
    /// <param name="words">The labels' words.</param>
    internal LabelReading? Of(TaskWords? words) => verbalizer.Kind switch
    {
        "words" or "oneToOne" or "search" => WordsOf(words!, verbalizer.IsCalibrated),
        "soft" => new SoftLabels(network, words!.Words, (name, fresh) => take(name, fresh, true)),
        "prototypes" => Prototypes(words!),
        "knowledge" => new WordLabels(
            verbalizer.Learns
                ? new WeightedWords(words!.Words, words.Reading, fresh => take("verbalizer.weights", fresh, true))
                : new ManualVerbalizer(words!.Words, words.Reading),
            Prior()),
        "rules" => new RuleLabels(new RuleVerbalizer(InOrder(verbalizer.Words!), model.Tokenizer, prefix: "")),
        "texts" or TaskVerbalizer.Nothing or AskedChain.WrittenKind => null,
        var other => throw new InputException($"The task's verbalizer is of the kind '{other}', which is not known here."),
    };

    private WordLabels WordsOf(TaskWords words, bool calibrates) => new(words.Verbalizer(calibrates), Prior());

    private Weight? Prior() => verbalizer.Contextual
        ? take("verbalizer.prior", () => throw new InvalidOperationException("Nothing has measured the words."), false)
        : null;

    private PrototypeLabels Prototypes(TaskWords words)
    {
        int width = verbalizer.Width!.Value, hidden = network.Sizes.HiddenSize;
        return new PrototypeLabels(
            WordsOf(words, calibrates: false),
            take("verbalizer.map", () => zeros(width, hidden, device: network.Device), true),
            take("verbalizer.prototypes", () => zeros(labels.Count, width, device: network.Device), true),
            verbalizer.Sharpness!.Value,
            verbalizer.Beside!.Value);
    }

    // Each label's words are read at masks of their own, so labels differ in the words together.
    private TaskWords Rules()
    {
        var words = InOrder(verbalizer.Words!);
        var same = words.Select((own, l) => (Label: labels[l], Words: string.Join(" + ", own))).GroupBy(pair => pair.Words)
            .FirstOrDefault(group => group.Count() > 1)?.ToList();
        if (same is not null)
            throw new InputException($"'{same[0].Label}' and '{same[1].Label}' have the same words, {same[0].Words}. Give words that "
                + "differ at one mask, under verbalizer.words.");
        for (var label = 0; label < labels.Count; label++)
            foreach (var word in words[label])
                TaskWords.Of([labels[label]], new Dictionary<string, IReadOnlyList<string>> { [labels[label]] = [word] }, model.Tokenizer);
        return new TaskWords(LabelWords.Exact(words, model.Tokenizer), WordReading.First, []);
    }

    private List<IReadOnlyList<T>> InOrder<T>(IReadOnlyDictionary<string, IReadOnlyList<T>> by)
    {
        foreach (var label in by.Keys.Where(label => !labels.Contains(label)))
            throw new InputException($"The verbalizer has words for '{label}', which is not a label of the data; labels are "
                + $"{string.Join(", ", labels)}.");
        return [.. labels.Select(label => by.GetValueOrDefault(label)
            ?? throw new InputException($"The verbalizer has no words for the label '{label}'. Write them under verbalizer.words."))];
    }
}
