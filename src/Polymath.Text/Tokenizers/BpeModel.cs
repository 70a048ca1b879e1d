using System.Text;

namespace Polymath.Text;

/// <summary>Byte-pair encoding over characters or over bytes, as <c>tokenizer.json</c> files describe it.</summary>
internal sealed class BpeModel : TokenModel
{
    private const int ShortWord = 16;
    private readonly Dictionary<string, int> _vocabulary;
    private readonly string[] _tokens;
    private readonly BpeMerges _merges;
    private readonly int _unknown = -1;
    private readonly bool _fuseUnknown, _ignoreMerges;
    private readonly string _prefix, _suffix;
    private readonly int[]? _fallback;
    private readonly WordCache _cache = new(), _plainCache = new();
    private int[] _byteIds = [], _characterIds = [];
    private bool _readsBytes;
    private HashSet<int> _specialIds = [];
    private TokenCuts? _cuts;

    private BpeModel(JsonPart model)
    {
        if (model.Find("dropout") is { } dropout
            && dropout.Element.ValueKind == System.Text.Json.JsonValueKind.Number && dropout.Element.GetDouble() > 0)
            throw dropout.Fault("a dropout of merges makes the ids random; set it to null");
        _vocabulary = VocabularyReader.Read(model.Get("vocab"));
        _tokens = ById(_vocabulary);
        _prefix = model.Find("continuing_subword_prefix")?.Text() ?? "";
        _suffix = model.Find("end_of_word_suffix")?.Text() ?? "";
        _fuseUnknown = model.Find("fuse_unk")?.Flag() ?? false;
        _ignoreMerges = model.Find("ignore_merges")?.Flag() ?? false;
        if (model.Find("unk_token") is { } unknown && !_vocabulary.TryGetValue(unknown.Text(), out _unknown))
            throw unknown.Fault($"the unknown token '{unknown.Text()}' is not in the vocabulary");
        if (model.Find("byte_fallback")?.Flag() ?? false)
            _fallback = [.. Enumerable.Range(0, 256).Select(value => _vocabulary.GetValueOrDefault($"<0x{value:X2}>", -1))];
        _merges = new(ReadMerges(model.Get("merges")));
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> Vocabulary => _vocabulary;

    /// <inheritdoc/>
    public override bool CanReadBytes => true;

    /// <summary>Reads the model from its part of the file.</summary>
    public static BpeModel Read(JsonPart model) => new(model);

    /// <inheritdoc/>
    public override void Spell(ReadOnlySpan<char> word, ReadOnlySpan<int> ids, List<string> into)
    {
        foreach (var id in ids)
            into.Add(_tokens[id]);
    }

    /// <inheritdoc/>
    public override void Prepare(IReadOnlySet<int> specialIds, bool readsBytes)
    {
        (_specialIds, _readsBytes) = ([.. specialIds], readsBytes);
        if (readsBytes)
            _byteIds = [.. Enumerable.Range(0, 256)
                .Select(value => _vocabulary.GetValueOrDefault(ByteAlphabet.CharacterOf((byte)value).ToString(), -1))];
        if (readsBytes && _prefix.Length + _suffix.Length == 0)
            return;
        _cuts = readsBytes ? null : FindCuts();
        _characterIds = new int[char.MaxValue + 1];
        Array.Fill(_characterIds, -1);
        foreach (var (token, id) in _vocabulary)
        {
            if (token.Length == 1)
                _characterIds[token[0]] = id;
        }
    }

    // Without a pre-tokenizer a word is a whole text; merging it piece by piece is as exact, where nothing else reaches over the cuts.
    private TokenCuts? FindCuts()
    {
        var reaches = _prefix.Length + _suffix.Length > 0 || _ignoreMerges
            || (_fuseUnknown && (_fallback is null || Array.Exists(_fallback, id => id < 0)))
            || (_fallback is not null && _merges.Touch([.. _fallback]));
        return reaches || _merges.Count == 0 ? null : new TokenCuts(_merges.Results.Select(id => _tokens[id]));
    }

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (_cuts is null || word.Length < ShortWord)
        {
            EncodeWord(word, plain, into);
            return;
        }

        for (int at = 0, end; at < word.Length; at = end)
        {
            end = _cuts.EndOf(word, at);
            EncodeWord(word[at..end], plain, into);
        }
    }

    private void EncodeWord(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (word.IsEmpty)
            return;
        var cache = plain ? _plainCache : _cache;
        if (_merges.Count > 0 && cache.TryGet(word, out var known))
        {
            into.AddRange(known);
            return;
        }

        var from = into.Count;
        if (!_ignoreMerges || !AddWhole(word, plain, into))
        {
            if (_readsBytes && _prefix.Length + _suffix.Length == 0)
                SpellBytes(word, into);
            else
                SpellCharacters(_readsBytes ? ByteAlphabet.Write(Encoding.UTF8.GetBytes(word.ToString())) : word, plain, into);
            _merges.Apply(into, from, plain ? _specialIds : null);
        }

        if (_merges.Count > 0)
            cache.Add(word, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(into)[from..]);
    }

    private bool AddWhole(ReadOnlySpan<char> word, bool plain, List<int> ids)
    {
        var text = _readsBytes ? ByteAlphabet.Write(Encoding.UTF8.GetBytes(word.ToString())) : word.ToString();
        if (!_vocabulary.TryGetValue(text, out var id) || (plain && _specialIds.Contains(id)))
            return false;
        ids.Add(id);
        return true;
    }

    private void SpellBytes(ReadOnlySpan<char> word, List<int> ids)
    {
        var size = Encoding.UTF8.GetMaxByteCount(word.Length);
        Span<byte> bytes = size <= 512 ? stackalloc byte[512] : new byte[size];
        var count = Encoding.UTF8.GetBytes(word, bytes);
        var pending = false;
        foreach (var value in bytes[..count])
            AddKnownOrUnknown(_byteIds[value], ids, ref pending);
        if (pending)
            ids.Add(_unknown);
    }

    private void SpellCharacters(ReadOnlySpan<char> word, bool plain, List<int> ids)
    {
        var pending = false;
        for (int i = 0, width; i < word.Length; i += width)
        {
            width = char.IsHighSurrogate(word[i]) && i + 1 < word.Length && char.IsLowSurrogate(word[i + 1]) ? 2 : 1;
            var id = IdOf(word.Slice(i, width), i == 0, i + width == word.Length);
            // In plain text a special token of one character is spelled by its bytes, where there are any.
            if ((id < 0 || (plain && _specialIds.Contains(id))) && _fallback is not null
                && AddBytes(word.Slice(i, width), i == 0, i + width == word.Length, ids))
                continue;
            AddKnownOrUnknown(id, ids, ref pending);
        }

        if (pending)
            ids.Add(_unknown);
    }

    private int IdOf(ReadOnlySpan<char> character, bool first, bool last)
    {
        var decorated = (!first && _prefix.Length > 0) || (last && _suffix.Length > 0);
        if (!decorated && character.Length == 1)
            return _characterIds[character[0]];
        return _vocabulary.GetValueOrDefault(Decorate(character, first, last), -1);
    }

    private string Decorate(ReadOnlySpan<char> character, bool first, bool last)
        => string.Concat(first ? "" : _prefix, character, last ? _suffix : "");

    private bool AddBytes(ReadOnlySpan<char> character, bool first, bool last, List<int> ids)
    {
        Span<byte> own = stackalloc byte[4];
        var bytes = _prefix.Length + _suffix.Length == 0
            ? own[..Encoding.UTF8.GetBytes(character, own)]
            : Encoding.UTF8.GetBytes(Decorate(character, first, last));
        foreach (var value in bytes)
        {
            if (_fallback![value] < 0)
                return false;
        }

        foreach (var value in bytes)
            ids.Add(_fallback![value]);
        return true;
    }

    // An unknown character waits, so that a run of them can become one token; characters of which there is no trace are dropped when there
    // is no such token.
    private void AddKnownOrUnknown(int id, List<int> ids, ref bool pending)
    {
        if (id >= 0)
        {
            if (pending)
                ids.Add(_unknown);
            pending = false;
            ids.Add(id);
        }
        else if (_unknown >= 0)
        {
            if (pending && !_fuseUnknown)
                ids.Add(_unknown);
            pending = true;
        }
    }

    private List<(int Left, int Right, int Id)> ReadMerges(JsonPart merges)
    {
        var result = new List<(int, int, int)>();
        foreach (var merge in merges.Items())
        {
            var (left, right) = Halves(merge);
            if (right.Length < _prefix.Length)
                throw merge.Fault($"the merged token '{right}' lacks the prefix '{_prefix}'");
            result.Add((Id(left), Id(right), Id(left + right[_prefix.Length..])));

            int Id(string token) => _vocabulary.TryGetValue(token, out var id)
                ? id
                : throw merge.Fault($"the merge of '{left}' and '{right}' names '{token}', which is not in the vocabulary");
        }

        return result;
    }

    // A list of two, or the older form: one text with a space in the middle.
    private static (string Left, string Right) Halves(JsonPart merge)
    {
        string[] halves = merge.Element.ValueKind == System.Text.Json.JsonValueKind.Array
            ? [.. merge.Items().Select(half => half.Text())]
            : merge.Text().Split(' ');
        return halves.Length == 2 ? (halves[0], halves[1]) : throw merge.Fault($"a merge joins two tokens, found {halves.Length}");
    }
}
