namespace Polymath.Text;

/// <summary>Turns one word into token ids. A kind of model is one file that derives from this, and one line in <see cref="TokenizerReader"/>.</summary>
internal abstract class TokenModel
{
    /// <summary>The vocabulary: each token with its id.</summary>
    public abstract IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>Appends the ids of one word.</summary>
    /// <param name="word">The word.</param>
    /// <param name="plain">Whether ids of special tokens must not come out of it.</param>
    /// <param name="into">Takes the ids.</param>
    public abstract void Encode(ReadOnlySpan<char> word, bool plain, List<int> into);

    /// <summary>Tells the model, once and before its first use, which ids are special and whether words come as text whose bytes it is to read
    /// itself.</summary>
    public abstract void Prepare(IReadOnlySet<int> specialIds, bool readsBytes);
}
