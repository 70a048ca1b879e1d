using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Tokens that are defined next to a <c>tokenizer.json</c> and not in it: in <c>tokenizer_config.json</c> (<c>added_tokens_decoder</c>, the
/// tokens that are named for a purpose, the additional ones), or in the older <c>special_tokens_map.json</c> and <c>added_tokens.json</c>,
/// which are used when the first file has no <c>added_tokens_decoder</c>. They are added as in transformers 5
/// (<c>PreTrainedTokenizerBase._from_pretrained</c>, <c>TokenizersBackend.__init__</c>) and numbered as in tokenizers
/// (<c>AddedVocabulary::add_tokens</c>).
/// </summary>
internal sealed class AddedBeside
{
    private const string Decoder = "added_tokens_decoder";
    private readonly List<AddedToken> listed = [], named = [];
    private readonly HashSet<string> filled = new(StringComparer.Ordinal);

    private AddedBeside()
    {
    }

    /// <summary>The tokens next to a folder's <c>tokenizer.json</c>; null when no file names any.</summary>
    /// <param name="folder">The folder.</param>
    public static AddedBeside? Of(string folder)
    {
        JsonPart? Read(string name) =>
            Path.Combine(folder, name) is var file && File.Exists(file) ? JsonPart.Parse(file, JsonPart.ReadFile(file)) : null;
        var settings = Read("tokenizer_config.json");
        var beside = new AddedBeside();
        if (Given(settings, Decoder) is { } decoder)
        {
            beside.Name(settings);
            beside.List(decoder);
        }
        else
        {
            // The older file wins over the settings.
            var map = Read("special_tokens_map.json");
            beside.Name(map);
            beside.Name(settings);
            beside.ListOlder(Read("added_tokens.json"));
        }
        return beside.listed.Count + beside.named.Count == 0 ? null : beside;
    }

    /// <summary>Adds the tokens to those of the file.</summary>
    /// <param name="tokens">The file's added tokens, by id; changed in place.</param>
    /// <param name="vocabulary">The model's tokens.</param>
    /// <param name="rows">The rows of the model's token table, if known: a token without an id that would get one after these rows is left
    /// out.</param>
    /// <returns>Whether anything was changed.</returns>
    public bool Add(SortedDictionary<int, AddedToken> tokens, IReadOnlyDictionary<string, int> vocabulary, int? rows)
    {
        var changed = false;
        var known = tokens.Values.Select(token => token.Content).ToHashSet(StringComparer.Ordinal);
        known.UnionWith(listed.Select(token => token.Content));
        foreach (var token in listed.Concat(named.Where(token => known.Add(token.Content))))
        {
            var held = tokens.Values.FirstOrDefault(other => other.Content == token.Content);
            var id = held?.Id ?? (vocabulary.TryGetValue(token.Content, out var own) ? own : Next(tokens, vocabulary.Count));
            if (held is null && id >= rows) continue;
            // Special tokens stay special.
            var next = token with { Id = id, Special = token.Special || held?.Special is true };
            if (next == held) continue;
            tokens[id] = next;
            changed = true;
        }
        return changed;
    }

    /// <summary>The content of a <c>tokenizer.json</c> with other added tokens; everything else keeps its bytes.</summary>
    /// <param name="content">The content.</param>
    /// <param name="tokens">The tokens.</param>
    public static byte[] Written(byte[] content, IEnumerable<AddedToken> tokens)
    {
        var list = JsonSerializer.SerializeToUtf8Bytes(
            tokens.Select(token => new
            {
                id = token.Id,
                content = token.Content,
                single_word = token.SingleWord,
                lstrip = token.LeftStrip,
                rstrip = token.RightStrip,
                normalized = token.Normalized,
                special = token.Special,
            }),
            JsonLayout.Line);
        var reader = new Utf8JsonReader(content.AsSpan());
        reader.Read();
        var begin = (int)reader.TokenStartIndex + 1;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var found = reader.ValueTextEquals("added_tokens");
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            reader.Skip();
            if (found) return [.. content[..start], .. list, .. content[(int)reader.BytesConsumed..]];
        }
        return [.. content[..begin], .. "\"added_tokens\":"u8, .. list, .. ","u8, .. content[begin..]];
    }

    // After the last of all ids, as in tokenizers.
    private static int Next(SortedDictionary<int, AddedToken> tokens, int size) =>
        tokens.Count > 0 && tokens.Keys.Last() is var last && last >= size ? last + 1 : size;

    private static JsonPart? Given(JsonPart? part, string key) =>
        part?.Find(key) is { } found && found.Element.ValueKind != JsonValueKind.Null ? found : null;

    private void List(JsonPart decoder)
    {
        var tokens = new SortedDictionary<int, AddedToken>();
        foreach (var (name, value) in decoder.Members())
        {
            if (!int.TryParse(name, out var id) || id is < 0 or > VocabularyReader.LargestId) throw value.Fault($"'{name}' is not an id");
            tokens[id] = Token(value);
        }
        listed.AddRange(tokens.Values.Where(token => token.Content.Length > 0).Select(Flagged));
    }

    private void ListOlder(JsonPart? file)
    {
        var tokens = new SortedDictionary<int, AddedToken>();
        foreach (var (token, id) in file?.Members() ?? [])
        {
            var special = named.Exists(other => other.Content == token);
            tokens[id.Integer(0, VocabularyReader.LargestId)] = AddedToken.Plain(0, token, special);
        }
        named.InsertRange(0, tokens.Values.Where(token => token.Content.Length > 0));
    }

    private void Name(JsonPart? settings)
    {
        foreach (var purpose in AddedToken.Purposes)
        {
            if (Given(settings, purpose) is { } value && filled.Add(purpose)) Take(value);
        }
        foreach (var (key, value) in settings?.Members() ?? [])
        {
            // Tokens for a purpose that exists only in this kind of model, such as image_token.
            var own = key.EndsWith("_token", StringComparison.Ordinal) && !AddedToken.Purposes.Contains(key)
                && value.Element.ValueKind == JsonValueKind.String;
            if (own && filled.Add(key)) Take(value);
        }
        foreach (var key in (string[])["extra_special_tokens", "additional_special_tokens"])
        {
            if (Given(settings, key) is not { } more) continue;
            var items = more.Element.ValueKind == JsonValueKind.Object ? more.Members().Select(pair => pair.Value) : more.Items();
            foreach (var item in items) Take(item);
        }
    }

    private void Take(JsonPart value)
    {
        var token = value.Element.ValueKind == JsonValueKind.Object
            ? Token(value) with { Special = true }
            : AddedToken.Plain(0, value.Text(), special: true);
        if (token.Content.Length > 0 && !named.Exists(other => other.Content == token.Content)) named.Add(token);
    }

    // A token that is named for a purpose is special, whatever its own flag says.
    private AddedToken Flagged(AddedToken token) =>
        named.Exists(other => other.Content == token.Content) ? token with { Special = true } : token;

    private static AddedToken Token(JsonPart part) => AddedToken.Of(part, 0, special: false, normalized: null);
}
