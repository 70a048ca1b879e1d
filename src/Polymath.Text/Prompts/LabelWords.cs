using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// The words that stand for each label, and their tokens. A word is read in the middle of a text, so a prefix (usually a space) is put
/// before it; a word that begins with <c>&lt;!&gt;</c> stays as it is.
/// </summary>
public sealed record LabelWords
{
    /// <summary>The mark of a word without prefix.</summary>
    public const string Bare = "<!>";

    private LabelWords(IReadOnlyList<IReadOnlyList<string>> words, IReadOnlyList<IReadOnlyList<int[]>> ids) => (Words, Ids) = (words, ids);

    /// <summary>The words of each label, with their prefix.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Words { get; }

    /// <summary>The tokens of each word of each label.</summary>
    public IReadOnlyList<IReadOnlyList<int[]>> Ids { get; }

    /// <summary>Reads words.</summary>
    /// <param name="words">The words of each label, in the labels' order.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="prefix">What is put before a word.</param>
    /// <param name="stripped">Whether a word's own leading spaces are removed first.</param>
    /// <exception cref="InputException">A label has no words, or a word has no token.</exception>
    public static LabelWords Of(
        IReadOnlyList<IReadOnlyList<string>> words,
        Tokenizer tokenizer,
        string prefix = " ",
        bool stripped = false)
    {
        ArgumentNullException.ThrowIfNull(words);
        ArgumentNullException.ThrowIfNull(tokenizer);
        string Written(string word)
        {
            if (word.StartsWith(Bare, StringComparison.Ordinal)) return word[Bare.Length..];
            return prefix + (stripped ? word.TrimStart(prefix.ToCharArray()) : word);
        }
        return Exact([.. words.Select(label => (IReadOnlyList<string>)[.. label.Select(Written)])], tokenizer);
    }

    /// <summary>Reads words whose prefix is there already.</summary>
    /// <param name="words">The words of each label.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <exception cref="InputException">A label has no words, or a word has no token.</exception>
    public static LabelWords Exact(IReadOnlyList<IReadOnlyList<string>> words, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(words);
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (words.Count == 0) throw new InputException("A verbalizer needs words for its labels, but there are none.");
        for (var label = 0; label < words.Count; label++)
            if (words[label].Count == 0)
                throw new InputException($"Label {label + 1} of {words.Count} has no words. Give at least one, or filter fewer.");
        return new(words, [.. words.Select(label => (IReadOnlyList<int[]>)[.. label.Select(word => IdsOf(word, tokenizer))])]);
    }

    /// <summary>Words of one token each, which are given: a search's words need not be what the tokenizer makes of their text.</summary>
    /// <param name="words">The words of each label.</param>
    /// <param name="ids">Their tokens.</param>
    public static LabelWords Given(IReadOnlyList<IReadOnlyList<string>> words, IReadOnlyList<IReadOnlyList<int>> ids)
    {
        ArgumentNullException.ThrowIfNull(words);
        ArgumentNullException.ThrowIfNull(ids);
        return new(words, [.. ids.Select(label => (IReadOnlyList<int[]>)[.. label.Select(id => new[] { id })])]);
    }

    /// <summary>The words in the order of the classes.</summary>
    /// <param name="words">The words by class.</param>
    /// <param name="classes">The classes.</param>
    /// <exception cref="InputException">The names differ.</exception>
    public static IReadOnlyList<IReadOnlyList<string>> InOrder(
        IReadOnlyDictionary<string, IReadOnlyList<string>> words, IReadOnlyList<string>? classes)
    {
        ArgumentNullException.ThrowIfNull(words);
        if (classes is null)
            throw new InputException($"The label words are by name ({string.Join(", ", words.Keys)}), so the classes are needed for their "
                + "order.");
        if (!classes.Order(StringComparer.Ordinal).SequenceEqual(words.Keys.Order(StringComparer.Ordinal)))
            throw new InputException($"The label words are for {string.Join(", ", words.Keys)}, but the classes are "
                + $"{string.Join(", ", classes)}. Write the same names.");
        return [.. classes.Select(name => words[name])];
    }

    private static int[] IdsOf(string word, Tokenizer tokenizer)
    {
        var ids = tokenizer.EncodePlain(word);
        return ids.Length > 0 ? ids : throw new InputException($"The label word '{word}' has no token. Give another word.");
    }
}
