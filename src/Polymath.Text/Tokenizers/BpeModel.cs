using System.Text;

namespace Polymath.Text;

/// <summary>Byte-pair encoding over characters or over bytes, as <c>tokenizer.json</c> files describe it.</summary>
internal sealed class BpeModel : TokenModel
{
    private const int ShortWord = 16;
    private readonly Dictionary<string, int> vocabulary;
    private readonly string[] tokens;
    private readonly BpeMerges merges;
    private readonly int unknown = -1;
    private readonly bool fuseUnknown, ignoreMerges;
    private readonly string prefix, suffix;
    private readonly int[]? fallback;
    private readonly WordCache cache = new(), plainCache = new();
    private int[] byteIds = [], characterIds = [];
    private bool readsBytes;
    private HashSet<int> specialIds = [];
    private TokenCuts? cuts;

    private BpeModel(JsonPart model)
    {
        if (model.Find("dropout") is { } dropout
            && dropout.Element.ValueKind == System.Text.Json.JsonValueKind.Number && dropout.Element.GetDouble() > 0)
            throw dropout.Fault("a dropout of merges makes the ids random; set it to null");
        vocabulary = VocabularyReader.Read(model.Get("vocab"));
        tokens = ById(vocabulary);
        prefix = model.Find("continuing_subword_prefix")?.Text() ?? "";
        suffix = model.Find("end_of_word_suffix")?.Text() ?? "";
        fuseUnknown = model.Find("fuse_unk")?.Flag() ?? false;
        ignoreMerges = model.Find("ignore_merges")?.Flag() ?? false;
        if (model.Find("unk_token") is { } unknown && !vocabulary.TryGetValue(unknown.Text(), out this.unknown))
            throw unknown.Fault($"the unknown token '{unknown.Text()}' is not in the vocabulary");
        if (model.Find("byte_fallback")?.Flag() ?? false)
            fallback = [.. Enumerable.Range(0, 256).Select(value => vocabulary.GetValueOrDefault($"<0x{value:X2}>", -1))];
        merges = new(ReadMerges(model.Get("merges")));
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> Vocabulary => vocabulary;

    /// <inheritdoc/>
    public override bool CanReadBytes => true;

    /// <summary>Reads the model from its part of the file.</summary>
    public static BpeModel Read(JsonPart model) => new(model);

    /// <inheritdoc/>
    public override void Spell(ReadOnlySpan<char> word, ReadOnlySpan<int> ids, List<string> into)
    {
        foreach (var id in ids)
            into.Add(tokens[id]);
    }

    /// <inheritdoc/>
    public override void Prepare(IReadOnlySet<int> specialIds, bool readsBytes)
    {
        (this.specialIds, this.readsBytes) = ([.. specialIds], readsBytes);
        if (readsBytes)
            byteIds = [.. Enumerable.Range(0, 256)
                .Select(value => vocabulary.GetValueOrDefault(ByteAlphabet.CharacterOf((byte)value).ToString(), -1))];
        if (readsBytes && prefix.Length + suffix.Length == 0)
            return;
        cuts = readsBytes ? null : FindCuts();
        characterIds = new int[char.MaxValue + 1];
        Array.Fill(characterIds, -1);
        foreach (var (token, id) in vocabulary)
        {
            if (token.Length == 1)
                characterIds[token[0]] = id;
        }
    }

    // Without a pre-tokenizer a word is a whole text; merging it in pieces gives the same result, when no token crosses the cuts.
    private TokenCuts? FindCuts()
    {
        var reaches = prefix.Length + suffix.Length > 0 || ignoreMerges
            || (fuseUnknown && (fallback is null || Array.Exists(fallback, id => id < 0)))
            || (fallback is not null && merges.Touch([.. fallback]));
        return reaches || merges.Count == 0 ? null : new TokenCuts(merges.Results.Select(id => tokens[id]));
    }

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (cuts is null || word.Length < ShortWord)
        {
            EncodeWord(word, plain, into);
            return;
        }

        for (int at = 0, end; at < word.Length; at = end)
        {
            end = cuts.EndOf(word, at);
            EncodeWord(word[at..end], plain, into);
        }
    }

    private void EncodeWord(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (word.IsEmpty)
            return;
        var cache = plain ? plainCache : this.cache;
        if (merges.Count > 0 && cache.TryGet(word, out var known))
        {
            into.AddRange(known);
            return;
        }

        var from = into.Count;
        if (!ignoreMerges || !AddWhole(word, plain, into))
        {
            if (readsBytes && prefix.Length + suffix.Length == 0)
                SpellBytes(word, into);
            else
                SpellCharacters(readsBytes ? ByteAlphabet.Write(Encoding.UTF8.GetBytes(word.ToString())) : word, plain, into);
            merges.Apply(into, from, plain ? specialIds : null);
        }

        if (merges.Count > 0)
            cache.Add(word, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(into)[from..]);
    }

    private bool AddWhole(ReadOnlySpan<char> word, bool plain, List<int> ids)
    {
        var text = readsBytes ? ByteAlphabet.Write(Encoding.UTF8.GetBytes(word.ToString())) : word.ToString();
        if (!vocabulary.TryGetValue(text, out var id) || (plain && specialIds.Contains(id)))
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
            AddKnownOrUnknown(byteIds[value], ids, ref pending);
        if (pending)
            ids.Add(unknown);
    }

    private void SpellCharacters(ReadOnlySpan<char> word, bool plain, List<int> ids)
    {
        var pending = false;
        for (int i = 0, width; i < word.Length; i += width)
        {
            width = char.IsHighSurrogate(word[i]) && i + 1 < word.Length && char.IsLowSurrogate(word[i + 1]) ? 2 : 1;
            var id = IdOf(word.Slice(i, width), i == 0, i + width == word.Length);
            // In plain text, a special token of one character is written as its bytes, if these exist.
            if ((id < 0 || (plain && specialIds.Contains(id))) && fallback is not null
                && AddBytes(word.Slice(i, width), i == 0, i + width == word.Length, ids))
                continue;
            AddKnownOrUnknown(id, ids, ref pending);
        }

        if (pending)
            ids.Add(unknown);
    }

    private int IdOf(ReadOnlySpan<char> character, bool first, bool last)
    {
        var decorated = (!first && prefix.Length > 0) || (last && suffix.Length > 0);
        if (!decorated && character.Length == 1)
            return characterIds[character[0]];
        return vocabulary.GetValueOrDefault(Decorate(character, first, last), -1);
    }

    private string Decorate(ReadOnlySpan<char> character, bool first, bool last)
        => string.Concat(first ? "" : prefix, character, last ? suffix : "");

    private bool AddBytes(ReadOnlySpan<char> character, bool first, bool last, List<int> ids)
    {
        Span<byte> own = stackalloc byte[4];
        var bytes = prefix.Length + suffix.Length == 0
            ? own[..Encoding.UTF8.GetBytes(character, own)]
            : Encoding.UTF8.GetBytes(Decorate(character, first, last));
        foreach (var value in bytes)
        {
            if (fallback![value] < 0)
                return false;
        }

        foreach (var value in bytes)
            ids.Add(fallback![value]);
        return true;
    }

    // An unknown character waits, so that a run of them can become one token; unknown characters are dropped when there is no unknown
    // token.
    private void AddKnownOrUnknown(int id, List<int> ids, ref bool pending)
    {
        if (id >= 0)
        {
            if (pending)
                ids.Add(unknown);
            pending = false;
            ids.Add(id);
        }
        else if (unknown >= 0)
        {
            if (pending && !fuseUnknown)
                ids.Add(unknown);
            pending = true;
        }
    }

    private List<(int Left, int Right, int Id)> ReadMerges(JsonPart merges)
    {
        var result = new List<(int, int, int)>();
        foreach (var merge in merges.Items())
        {
            var (left, right) = Halves(merge);
            if (right.Length < prefix.Length)
                throw merge.Fault($"the merged token '{right}' lacks the prefix '{prefix}'");
            result.Add((Id(left), Id(right), Id(left + right[prefix.Length..])));

            int Id(string token) => vocabulary.TryGetValue(token, out var id)
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
