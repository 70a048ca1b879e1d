using System.Runtime.InteropServices;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// WordPiece (Schuster and Nakajima 2012): the longest token that fits, from left to right; a word that cannot be written whole is unknown.
/// </summary>
internal sealed class WordPieceModel : TokenModel
{
    private readonly Dictionary<string, int> vocabulary;
    private readonly string[] tokens;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> whole;
    private readonly Dictionary<string, int> continuing;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> rest;
    private readonly string unknownToken;
    private readonly int unknown, mostCharacters, longest;
    private readonly WordCache cache = new(), plainCache = new();
    private HashSet<int> specialIds = [];

    private WordPieceModel(JsonPart model)
    {
        vocabulary = VocabularyReader.Read(model.Get("vocab"));
        tokens = ById(vocabulary);
        var prefix = model.Find("continuing_subword_prefix")?.Text() ?? "##";
        unknownToken = model.Find("unk_token")?.Text() ?? "[UNK]";
        mostCharacters = model.Find("max_input_chars_per_word")?.Integer(0, int.MaxValue) ?? 100;
        unknown = vocabulary.GetValueOrDefault(unknownToken, -1);
        continuing = new(StringComparer.Ordinal);
        foreach (var (token, id) in vocabulary)
        {
            if (token.Length > prefix.Length && token.StartsWith(prefix, StringComparison.Ordinal))
                continuing[token[prefix.Length..]] = id;
        }

        whole = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        rest = continuing.GetAlternateLookup<ReadOnlySpan<char>>();
        longest = vocabulary.Keys.Select(token => token.Length).DefaultIfEmpty(0).Max();
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> Vocabulary => vocabulary;

    /// <summary>Reads the model from its part of the file.</summary>
    public static WordPieceModel Read(JsonPart model) => new(model);

    /// <inheritdoc/>
    public override void Spell(ReadOnlySpan<char> word, ReadOnlySpan<int> ids, List<string> into)
    {
        foreach (var id in ids)
            into.Add(tokens[id]);
    }

    /// <inheritdoc/>
    public override void Prepare(IReadOnlySet<int> specialIds, bool readsBytes)
    {
        this.specialIds = [.. specialIds];
        this.specialIds.Remove(unknown);
    }

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (word.IsEmpty)
            return;
        var cache = plain ? plainCache : this.cache;
        if (cache.TryGet(word, out var known))
        {
            into.AddRange(known);
            return;
        }

        var from = into.Count;
        if (!Write(word, plain, into))
        {
            into.RemoveRange(from, into.Count - from);
            into.Add(unknown >= 0
                ? unknown
                : throw new InputException($"the word '{word}' cannot be written, and the unknown token '{unknownToken}' is not in the "
                    + "vocabulary of the tokenizer. Add it, or choose a tokenizer that has it."));
        }

        cache.Add(word, CollectionsMarshal.AsSpan(into)[from..]);
    }

    private bool Write(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (word.Length > mostCharacters && CountOf(word) > mostCharacters)
            return false;
        for (var at = 0; at < word.Length;)
        {
            var length = Math.Min(word.Length - at, longest);
            var lookup = at == 0 ? whole : rest;
            int id;
            while (!lookup.TryGetValue(word.Slice(at, length), out id) || (plain && specialIds.Contains(id)))
            {
                length--;
                if (length > 0 && char.IsLowSurrogate(word[at + length]) && char.IsHighSurrogate(word[at + length - 1]))
                    length--;
                if (length <= 0)
                    return false;
            }

            into.Add(id);
            at += length;
        }

        return true;
    }

    private static int CountOf(ReadOnlySpan<char> word)
    {
        var count = 0;
        for (int i = 0, width; i < word.Length; i += width, count++)
            _ = CharacterSets.At(word, i, out width);
        return count;
    }
}

/// <summary>One token per word; other words are unknown.</summary>
internal sealed class WordLevelModel : TokenModel
{
    private readonly Dictionary<string, int> vocabulary;
    private readonly string[] tokens;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> lookup;
    private readonly string unknownToken;
    private HashSet<int> specialIds = [];

    private WordLevelModel(JsonPart model)
    {
        vocabulary = VocabularyReader.Read(model.Get("vocab"));
        tokens = ById(vocabulary);
        lookup = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        unknownToken = model.Find("unk_token")?.Text() ?? "<unk>";
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> Vocabulary => vocabulary;

    /// <summary>Reads the model from its part of the file.</summary>
    public static WordLevelModel Read(JsonPart model) => new(model);

    /// <inheritdoc/>
    public override void Spell(ReadOnlySpan<char> word, ReadOnlySpan<int> ids, List<string> into)
    {
        foreach (var id in ids)
            into.Add(tokens[id]);
    }

    /// <inheritdoc/>
    public override void Prepare(IReadOnlySet<int> specialIds, bool readsBytes) => this.specialIds = [.. specialIds];

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (word.IsEmpty)
            return;
        if (lookup.TryGetValue(word, out var id) && !(plain && specialIds.Contains(id)))
            into.Add(id);
        else
            into.Add(vocabulary.TryGetValue(unknownToken, out var unknown)
                ? unknown
                : throw new InputException($"the word '{word}' is not in the tokenizer's vocabulary, nor is the unknown token "
                    + $"'{unknownToken}'. Add it, or choose a tokenizer that has it."));
    }
}
