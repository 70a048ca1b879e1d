using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Turns text into token ids and back. Immutable, and safe to use from several threads at once.</summary>
public abstract class Tokenizer
{
    /// <summary>The file that holds a tokenizer in a model's folder.</summary>
    public const string FileName = "tokenizer.json";

    /// <summary>The largest token id plus one: the least number of rows a token table must have.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>The special tokens (those that stand for no text) with their ids.</summary>
    public abstract IReadOnlyDictionary<string, int> SpecialTokens { get; }

    /// <summary>The token with that id, as the vocabulary writes it; empty for an id without a token.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is negative or not below <see cref="VocabularySize"/>.</exception>
    public abstract string TokenOf(int id);

    /// <summary>The id of a token, as the vocabulary writes it; null when there is none.</summary>
    public abstract int? IdOf(string token);

    /// <summary>The ids of a text in which added and special tokens that are written out are recognised.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecialTokens">Whether the tokens that open and close a sequence are put around it.</param>
    public abstract int[] Encode(string text, bool addSpecialTokens = false);

    /// <summary>
    /// The ids of a text that is only text: special tokens written in it, and other added tokens that look like marks
    /// (<c>&lt;...&gt;</c>, <c>[...]</c>), are spelled out, so that a user's text can never bring in a control token.
    /// </summary>
    /// <param name="text">The text.</param>
    public abstract int[] EncodePlain(string text);

    /// <summary>The ids of two texts as one sequence, with the tokens that open, part and close it.</summary>
    /// <param name="first">The first text.</param>
    /// <param name="second">The second text.</param>
    /// <returns>The ids, and for each the number of its part (0 or 1) as the model was taught it.</returns>
    public abstract (int[] Ids, int[] TypeIds) EncodePair(string first, string second);

    /// <summary>Opens a decoder that is fed one id at a time.</summary>
    /// <param name="skipSpecialTokens">Whether special tokens are left out of the text.</param>
    public abstract TokenStream NewStream(bool skipSpecialTokens = true);

    /// <summary>The text of some ids. Ids without a token stand for nothing; bytes that are no UTF-8 become U+FFFD.</summary>
    /// <param name="ids">The ids.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out of the text.</param>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true)
    {
        var stream = NewStream(skipSpecialTokens);
        foreach (var id in ids)
            stream.Feed(id);
        return stream.Flush();
    }

    /// <summary>The content of the tokenizer's <c>tokenizer.json</c>.</summary>
    public abstract ReadOnlyMemory<byte> ToJson();

    /// <summary>Writes <c>tokenizer.json</c> into a folder; the file is whole or not there.</summary>
    /// <exception cref="InputException">The file cannot be written.</exception>
    public void Save(string folder) => AtomicFile.Write(Path.Combine(folder, FileName), ToJson());

    /// <summary>Reads a <c>tokenizer.json</c> in the layout of Hugging Face's tokenizers library.</summary>
    /// <param name="folderOrFile">The file, or the folder it lies in.</param>
    /// <exception cref="InputException">There is no such file, it is damaged, or it holds a kind that is not known.</exception>
    public static Tokenizer Load(string folderOrFile)
    {
        var file = Directory.Exists(folderOrFile) ? Path.Combine(folderOrFile, FileName) : folderOrFile;
        if (!File.Exists(file))
            throw new InputException($"no {FileName} at {folderOrFile}. Name a folder that holds one, as 'save_pretrained' of a fast tokenizer writes it.");
        return TokenizerReader.Read(file, JsonPart.ReadFile(file));
    }
}
