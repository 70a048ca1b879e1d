using System.Runtime.InteropServices;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// WordPiece (Schuster and Nakajima 2012): the longest token that fits, from left to right; a word that cannot be written whole is unknown.
/// </summary>
internal sealed class WordPieceModel : TokenModel
{
    private readonly Dictionary<string, int> _vocabulary;
    private readonly string[] _tokens;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _whole;
    private readonly Dictionary<string, int> _continuing;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _rest;
    private readonly string _unknownToken;
    private readonly int _unknown, _mostCharacters, _longest;
    private readonly WordCache _cache = new(), _plainCache = new();
    private HashSet<int> _specialIds = [];

    private WordPieceModel(JsonPart model)
    {
        _vocabulary = VocabularyReader.Read(model.Get("vocab"));
        _tokens = ById(_vocabulary);
        var prefix = model.Find("continuing_subword_prefix")?.Text() ?? "##";
        _unknownToken = model.Find("unk_token")?.Text() ?? "[UNK]";
        _mostCharacters = model.Find("max_input_chars_per_word")?.Integer(0, int.MaxValue) ?? 100;
        _unknown = _vocabulary.GetValueOrDefault(_unknownToken, -1);
        _continuing = new(StringComparer.Ordinal);
        foreach (var (token, id) in _vocabulary)
        {
            if (token.Length > prefix.Length && token.StartsWith(prefix, StringComparison.Ordinal))
                _continuing[token[prefix.Length..]] = id;
        }

        _whole = _vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        _rest = _continuing.GetAlternateLookup<ReadOnlySpan<char>>();
        _longest = _vocabulary.Keys.Select(token => token.Length).DefaultIfEmpty(0).Max();
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> Vocabulary => _vocabulary;

    /// <summary>Reads the model from its part of the file.</summary>
    public static WordPieceModel Read(JsonPart model) => new(model);

    /// <inheritdoc/>
    public override void Spell(ReadOnlySpan<char> word, ReadOnlySpan<int> ids, List<string> into)
    {
        foreach (var id in ids)
            into.Add(_tokens[id]);
    }

    /// <inheritdoc/>
    public override void Prepare(IReadOnlySet<int> specialIds, bool readsBytes)
    {
        _specialIds = [.. specialIds];
        _specialIds.Remove(_unknown);
    }

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (word.IsEmpty)
            return;
        var cache = plain ? _plainCache : _cache;
        if (cache.TryGet(word, out var known))
        {
            into.AddRange(known);
            return;
        }

        var from = into.Count;
        if (!Write(word, plain, into))
        {
            into.RemoveRange(from, into.Count - from);
            into.Add(_unknown >= 0
                ? _unknown
                : throw new InputException($"the word '{word}' cannot be written, and the unknown token '{_unknownToken}' is not in the "
                    + "vocabulary of the tokenizer. Add it, or choose a tokenizer that has it."));
        }

        cache.Add(word, CollectionsMarshal.AsSpan(into)[from..]);
    }

    private bool Write(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (word.Length > _mostCharacters && CountOf(word) > _mostCharacters)
            return false;
        for (var at = 0; at < word.Length;)
        {
            var length = Math.Min(word.Length - at, _longest);
            var lookup = at == 0 ? _whole : _rest;
            int id;
            while (!lookup.TryGetValue(word.Slice(at, length), out id) || (plain && _specialIds.Contains(id)))
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

/// <summary>One token a word; the rest is unknown.</summary>
internal sealed class WordLevelModel : TokenModel
{
    private readonly Dictionary<string, int> _vocabulary;
    private readonly string[] _tokens;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly string _unknownToken;
    private HashSet<int> _specialIds = [];

    private WordLevelModel(JsonPart model)
    {
        _vocabulary = VocabularyReader.Read(model.Get("vocab"));
        _tokens = ById(_vocabulary);
        _lookup = _vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        _unknownToken = model.Find("unk_token")?.Text() ?? "<unk>";
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> Vocabulary => _vocabulary;

    /// <summary>Reads the model from its part of the file.</summary>
    public static WordLevelModel Read(JsonPart model) => new(model);

    /// <inheritdoc/>
    public override void Spell(ReadOnlySpan<char> word, ReadOnlySpan<int> ids, List<string> into)
    {
        foreach (var id in ids)
            into.Add(_tokens[id]);
    }

    /// <inheritdoc/>
    public override void Prepare(IReadOnlySet<int> specialIds, bool readsBytes) => _specialIds = [.. specialIds];

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (word.IsEmpty)
            return;
        if (_lookup.TryGetValue(word, out var id) && !(plain && _specialIds.Contains(id)))
            into.Add(id);
        else
            into.Add(_vocabulary.TryGetValue(_unknownToken, out var unknown)
                ? unknown
                : throw new InputException($"the word '{word}' is not in the tokenizer's vocabulary, nor is the unknown token "
                    + $"'{_unknownToken}'. Add it, or choose a tokenizer that has it."));
    }
}
