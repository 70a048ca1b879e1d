using System.Buffers.Text;
using System.Text;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Reads tiktoken's files: one token per line, with its bytes in base64 and its rank, which is both its id and its order in merging.
/// </summary>
internal static class TiktokenFile
{
    /// <summary>Whether a file looks like one of these.</summary>
    public static bool LooksLike(ReadOnlySpan<byte> bytes)
    {
        var line = bytes[..(bytes.IndexOf((byte)'\n') is >= 0 and var end ? end : bytes.Length)];
        var space = line.IndexOf((byte)' ');
        return space > 0 && Base64.IsValid(line[..space]);
    }

    /// <summary>Reads the tokenizer of a folder.</summary>
    public static Tokenizer Read(TokenizerFolder folder, string name)
    {
        var ranks = ReadRanks(folder.At(name), folder.Keep(name));
        var vocabulary = ranks.ToDictionary(entry => entry.Key, entry => entry.Value, StringComparer.Ordinal);
        var own = Vocabulary(folder, name, ranks);
        var usual = own.Special.Select(special => new AddedToken(
            special.Id,
            special.Token,
            false,
            false,
            false,
            false,
            true)).ToList();
        var added = folder.Added(
            token => usual.Find(known => known.Content == token)?.Id ?? (vocabulary.TryGetValue(token, out var id) ? id : null));
        added.AddRange(usual.Where(token => !added.Exists(known => known.Content == token.Content || known.Id == token.Id)));
        var json = LegacyJson.Compose(
            added.OrderBy(token => token.Id),
            own.Composes ? LegacyJson.Stage("NFC") : null,
            LegacyJson.SplitBytes(own.Pattern),
            Around(folder, own, added),
            LegacyJson.ByteLevel(true, true),
            LegacyJson.Bpe(
                vocabulary,
                Merges(vocabulary),
                null,
                false,
                true));
        return TokenizerReader.Read(folder.At(name), json);
    }

    // The file does not say how a text is split. A wrong guess would give other tokens than in the model's training.
    private static TiktokenVocabulary Vocabulary(TokenizerFolder folder, string name, Dictionary<string, int> ranks)
    {
        var known = TiktokenVocabulary.Of(name, folder.Class, ranks, [.. folder.Added(_ => null).Select(token => token.Content)]);
        if (folder.Find("pat_str")?.Text() is { Length: > 0 } pattern)
            return (known ?? new TiktokenVocabulary(name, pattern, [])) with { Pattern = pattern };
        return known
            ?? throw new InputException($"{folder.At(name)}: the {ranks.Count:N0} ranks belong to no known vocabulary "
                + $"({TiktokenVocabulary.Known}), and the file does not say how texts are split. Give it the name of its vocabulary, such "
                + "as cl100k_base.tiktoken; or add the pattern to tokenizer_config.json: \"pat_str\": \"...\", and its special tokens as "
                + "added_tokens_decoder; or fetch the model's tokenizer.json.");
    }

    private static JsonObject? Around(TokenizerFolder folder, TiktokenVocabulary own, List<AddedToken> added)
    {
        int IdOf(string token) => added.First(known => known.Content == token).Id;
        bool Has(string token) => added.Exists(known => known.Content == token);
        if (own.Begin is { } begin && Has(begin))
            return LegacyJson.Template([(begin, 0), ("A", 0)], [(begin, 0), ("A", 0), (begin, 1), ("B", 1)], IdOf);
        if (!folder.Class.StartsWith("ChatGLM", StringComparison.Ordinal) || !Has("[gMASK]") || !Has("<sop>")) return null;
        var end = Has("<|endoftext|>") ? [("<|endoftext|>", 0)] : Array.Empty<(string, int)>();
        return LegacyJson.Template(
            [("[gMASK]", 0), ("<sop>", 0), ("A", 0)], [("[gMASK]", 0), ("<sop>", 0), ("A", 0), ("B", 0), .. end], IdOf);
    }

    private static Dictionary<string, int> ReadRanks(string file, byte[] bytes)
    {
        var ranks = new Dictionary<string, int>(StringComparer.Ordinal);
        var owners = new HashSet<int>();
        var number = 0;
        foreach (var line in Encoding.UTF8.GetString(bytes).Split('\n'))
        {
            number++;
            if (line.Trim().Length == 0)
                continue;
            var parts = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            var token = new byte[line.Length];
            if (parts.Length != 2 || !Convert.TryFromBase64String(parts[0], token, out var length) || length == 0)
                throw Fault("a token in base64 and its rank are needed");
            if (!int.TryParse(parts[1], out var rank) || rank is < 0 or > VocabularyReader.LargestId)
                throw Fault($"'{parts[1]}' is not a rank");
            if (!ranks.TryAdd(ByteAlphabet.Write(token.AsSpan(0, length)), rank) || !owners.Add(rank))
                throw Fault("the token or its rank is there twice");
        }

        return ranks.Count > 0 ? ranks : throw Fault("it has no tokens");

        InputException Fault(string what) => new($"{file}, line {number}: {what}. Fetch the file again.");
    }

    // Every pair of tokens that makes another token, in the order of the result's rank.
    private static IEnumerable<(string Left, string Right)> Merges(Dictionary<string, int> ranks)
    {
        var lookup = ranks.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var (token, _) in ranks.OrderBy(entry => entry.Value))
        {
            var ways = new List<(int Left, int Right, int Cut)>();
            for (var cut = 1; cut < token.Length; cut++)
            {
                if (lookup.TryGetValue(token.AsSpan(0, cut), out var left) && lookup.TryGetValue(token.AsSpan(cut), out var right))
                    ways.Add((left, right, cut));
            }

            foreach (var (_, _, cut) in ways.Order())
                yield return (token[..cut], token[cut..]);
        }
    }
}
