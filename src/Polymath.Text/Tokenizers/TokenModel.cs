namespace Polymath.Text;

/// <summary>
/// Turns one word into token ids. A kind of model is one file that derives from this, and one line in <see cref="TokenizerReader"/>.
/// </summary>
internal abstract class TokenModel
{
    /// <summary>The vocabulary: each token with its id.</summary>
    public abstract IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>The number of tokens; more than the vocabulary holds where two are written alike.</summary>
    public virtual int Size => Vocabulary.Count;

    /// <summary>Whether the model can take words as text and read their bytes itself.</summary>
    public virtual bool CanReadBytes => false;

    /// <summary>Appends the ids of one word.</summary>
    /// <param name="word">The word.</param>
    /// <param name="plain">Whether ids of special tokens must not come out of it.</param>
    /// <param name="into">Takes the ids.</param>
    public abstract void Encode(ReadOnlySpan<char> word, bool plain, List<int> into);

    /// <summary>Appends the tokens of one word as they are written.</summary>
    /// <param name="word">The word.</param>
    /// <param name="ids">Its ids.</param>
    /// <param name="into">Takes the tokens.</param>
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
    /// Tells the model, once and before its first use, which ids are special and whether words come as text whose bytes it is to read
    /// itself.
    /// </summary>
    public abstract void Prepare(IReadOnlySet<int> specialIds, bool readsBytes);
}
