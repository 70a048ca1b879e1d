namespace Polymath.Text.Prompts;

/// <summary>A knowledge base that knows which words belong together.</summary>
public abstract class RelatedWords
{
    /// <summary>The words that are related to a word, the nearest first, without the word itself.</summary>
    /// <param name="word">The word.</param>
    /// <param name="senses">How many of its senses count, where the base tells senses apart, the usual ones first.</param>
    /// <param name="most">The most words.</param>
    public abstract IReadOnlyList<string> Related(string word, int senses, int most);
}
