namespace Polymath.Text;

/// <summary>
/// Turns one word into token ids. To add a kind of model, write one class that derives from this and one line in
/// <see cref="TokenizerReader"/>.
/// </summary>
internal abstract class TokenModel
{
    /// <summary>The vocabulary: each token with its id.</summary>
    public abstract IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>The number of tokens; more than in the vocabulary when two are written in the same way.</summary>
    public virtual int Size => Vocabulary.Count;

    /// <summary>Whether the model can read words as text and convert them to bytes itself.</summary>
    public virtual bool CanReadBytes => false;

    /// <summary>Appends the ids of one word.</summary>
    /// <param name="word">The word.</param>
    /// <param name="plain">Whether it must not produce ids of special tokens.</param>
    /// <param name="into">Receives the ids.</param>
    public abstract void Encode(ReadOnlySpan<char> word, bool plain, List<int> into);

    /// <summary>Appends the tokens of one word in their written form.</summary>
    /// <param name="word">The word.</param>
    /// <param name="ids">Its ids.</param>
    /// <param name="into">Receives the tokens.</param>
    public abstract void Spell(ReadOnlySpan<char> word, ReadOnlySpan<int> ids, List<string> into);

    /// <summary>The tokens of a vocabulary by id.</summary>
    protected static string[] ById(IReadOnlyDictionary<string, int> vocabulary)
    {
        var tokens = new string[vocabulary.Values.DefaultIfEmpty(-1).Max() + 1];
        foreach (var (token, id) in vocabulary)
            tokens[id] = token;
        return tokens;
    }

    /// <summary>
    /// Sets, once and before the first use, which ids are special and whether words are text that the model converts to bytes itself.
    /// </summary>
    public abstract void Prepare(IReadOnlySet<int> specialIds, bool readsBytes);
}
