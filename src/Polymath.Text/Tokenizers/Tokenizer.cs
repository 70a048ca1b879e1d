using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Turns text into token ids and back. Immutable, and safe to use from several threads at once.</summary>
public abstract class Tokenizer
{
    /// <summary>The file that holds a tokenizer in a model's folder.</summary>
    public const string FileName = "tokenizer.json";

    /// <summary>The largest token id plus one: the smallest number of rows of a token table.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>The special tokens (control tokens without text) with their ids.</summary>
    public abstract IReadOnlyDictionary<string, int> SpecialTokens { get; }

    /// <summary>
    /// The special tokens that <see cref="Encode"/> finds in no text, and that are known by name only; a template that writes them out
    /// means the tokens.
    /// </summary>
    public virtual IReadOnlyCollection<string> Commands => [];

    /// <summary>The token with that id, as the vocabulary writes it; empty for an id without a token.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is negative or not below <see cref="VocabularySize"/>.</exception>
    public abstract string TokenOf(int id);

    /// <summary>The id of a token in the vocabulary's form; null when there is none.</summary>
    public abstract int? IdOf(string token);

    /// <summary>The ids of a text. Added and special tokens that are written in it are recognised.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecialTokens">Whether the tokens that begin and end a sequence are added.</param>
    public abstract int[] Encode(string text, bool addSpecialTokens = false);

    /// <summary>
    /// The same tokenizer without the limit of length that its file may have. Rows that are trained and prompts that are answered are never
    /// cut by it, as in transformers; <c>batch.maxLength</c> cuts, and counts what it cuts.
    /// </summary>
    public virtual Tokenizer Uncut() => this;

    /// <summary>The same tokenizer with a token before and one behind each sequence, as BERT's and T5's have.</summary>
    /// <param name="open">The special token before a text; null for none.</param>
    /// <param name="close">The special token behind it.</param>
    /// <exception cref="InputException">It has no such token, or no <c>tokenizer.json</c> can express it.</exception>
    public Tokenizer Framed(string? open, string close) => TokenizerJson.Framed(this, open, close);

    /// <summary>
    /// The tokens of a text in written form: an unknown one as the text it stands for, if the kind of tokenizer shows it.
    /// </summary>
    /// <param name="text">The text.</param>
    public virtual string[] Tokens(string text) => [.. Encode(text).Select(TokenOf)];

    /// <summary>
    /// The ids of plain text: special tokens that are written in it, and other added tokens that look like marks (<c>&lt;...&gt;</c>,
    /// <c>[...]</c>), are encoded as characters, so that a user's text can never produce a control token.
    /// </summary>
    /// <param name="text">The text.</param>
    public abstract int[] EncodePlain(string text);

    /// <summary>The ids of many texts, encoded on several threads at once.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="addSpecialTokens">Whether the tokens that begin and end a sequence are added to each.</param>
    /// <param name="threads">The most threads; as many as there are processors when left out.</param>
    /// <returns>The ids of each text, in the order of the texts.</returns>
    public int[][] EncodeMany(IReadOnlyList<string> texts, bool addSpecialTokens = false, int? threads = null)
    {
        ArgumentNullException.ThrowIfNull(texts);
        var ids = new int[texts.Count][];
        try
        {
            Parallel.For(
                0,
                texts.Count,
                new ParallelOptions { MaxDegreeOfParallelism = threads ?? Environment.ProcessorCount },
                i => ids[i] = Encode(texts[i], addSpecialTokens));
        }
        catch (AggregateException fault) when (fault.InnerExceptions[0] is InputException first)
        {
            throw new InputException(first.Message, first);
        }

        return ids;
    }

    /// <summary>The ids of two texts as one sequence, with the tokens that begin, separate and end it.</summary>
    /// <param name="first">The first text.</param>
    /// <param name="second">The second text.</param>
    /// <returns>The ids, and for each the number of its part (0 or 1) as in the model's training.</returns>
    public abstract (int[] Ids, int[] TypeIds) EncodePair(string first, string second);

    /// <summary>Opens a decoder that gets one id at a time.</summary>
    /// <param name="skipSpecialTokens">Whether special tokens are left out of the text.</param>
    public abstract TokenStream NewStream(bool skipSpecialTokens = true);

    /// <summary>The text of some ids. Ids without a token add nothing; bytes that are not UTF-8 become U+FFFD.</summary>
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
    /// <exception cref="InputException">The tokenizer follows rules that such a file cannot express; <see cref="Save"/> keeps its own
    /// files.</exception>
    public abstract ReadOnlyMemory<byte> ToJson();

    /// <summary>The parts of the tokenizer.</summary>
    public abstract TokenizerDescription Describe();

    /// <summary>The files that hold the tokenizer, by name.</summary>
    internal virtual IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files =>
        new Dictionary<string, ReadOnlyMemory<byte>> { [FileName] = ToJson() };

    /// <summary>
    /// Writes <c>tokenizer.json</c>, or the tokenizer's original files, into a folder; each file is written whole or not at all.
    /// </summary>
    /// <exception cref="InputException">A file cannot be written.</exception>
    public void Save(string folder)
    {
        foreach (var (name, content) in Files)
            AtomicFile.Write(Path.Combine(folder, name), content);
    }

    /// <summary>
    /// Reads a tokenizer: <c>tokenizer.json</c> in the layout of Hugging Face's tokenizers library, or else the files of its older
    /// tokenizers (<c>tokenizer.model</c>, <c>spiece.model</c>, <c>ice_text.model</c>, <c>*.tiktoken</c>, <c>vocab.json</c> with
    /// <c>merges.txt</c>, <c>vocab.txt</c>).
    /// </summary>
    /// <remarks>Tokens that are only in the settings next to a folder's <c>tokenizer.json</c> are added as in transformers.</remarks>
    /// <param name="folderOrFile">The file, or its folder.</param>
    /// <param name="rows">The rows of the model's token table, if known. A token that only the settings name, without an id, is left out
    /// when its new id would be after these rows: a model without a row for it cannot read it.</param>
    /// <exception cref="InputException">There is no such file, it is damaged, or its kind is unknown.</exception>
    public static Tokenizer Load(string folderOrFile, int? rows = null) => TokenizerFolder.Load(folderOrFile, rows);
}

/// <summary>The description of a tokenizer.</summary>
/// <param name="Kind">The kind of its model.</param>
/// <param name="VocabularySize">The largest id plus one.</param>
/// <param name="ModelSize">The number of tokens of the model itself.</param>
/// <param name="AddedTokens">The number of tokens that are found in the text itself.</param>
/// <param name="Normalizer">The steps that rewrite a text.</param>
/// <param name="PreTokenizer">The steps that split it.</param>
/// <param name="PostProcessor">The steps that put tokens around it.</param>
/// <param name="Decoder">The steps that turn tokens into text.</param>
/// <param name="MaxLength">The most ids of a sequence, if the file cuts longer ones.</param>
public sealed record TokenizerDescription(
    string Kind,
    int VocabularySize,
    int ModelSize,
    int AddedTokens,
    IReadOnlyList<string> Normalizer,
    IReadOnlyList<string> PreTokenizer,
    IReadOnlyList<string> PostProcessor,
    IReadOnlyList<string> Decoder,
    int? MaxLength = null)
{
    private static readonly string[] Lists = ["normalizers", "pretokenizers", "processors", "decoders"];

    /// <summary>Describes the stages of a <c>tokenizer.json</c>.</summary>
    internal static TokenizerDescription Of(
        JsonPart root,
        string kind,
        int size,
        int modelSize,
        int added,
        int? maxLength)
        => new(
            kind,
            size,
            modelSize,
            added,
            Stages(root.Find("normalizer")),
            Stages(root.Find("pre_tokenizer")),
            Stages(root.Find("post_processor")),
            Stages(root.Find("decoder")),
            maxLength);

    private static List<string> Stages(JsonPart? part)
    {
        if (part is not { } given)
            return [];
        foreach (var name in Lists)
        {
            if (given.Find(name) is { } list)
                return [.. list.Items().SelectMany(item => Stages(item))];
        }

        return [given.Get("type").Text()];
    }
}
