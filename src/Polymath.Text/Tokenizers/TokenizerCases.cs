namespace Polymath.Text;

/// <summary>A difference between a tokenizer and a file of cases.</summary>
/// <param name="Case">The number of the case, from 0.</param>
/// <param name="Quantity">What differs, such as <c>ids</c>.</param>
/// <param name="Text">The text that was encoded.</param>
/// <param name="Expected">The value in the file.</param>
/// <param name="Found">The tokenizer's value.</param>
public sealed record CaseDifference(
    int Case,
    string Quantity,
    string Text,
    string Expected,
    string Found);

/// <summary>
/// Compares a tokenizer with a file of cases: texts with their ids, tokens and decoded texts, and pairs with their type ids.
/// </summary>
public static class TokenizerCases
{
    /// <summary>
    /// Runs every case of a file: <c>{"cases": [{"text", "ids", "ids_plain", "tokens", "decoded", "decoded_skip"}, {"pair", "ids",
    /// "type_ids"}]}</c>; keys that a case leaves out are not compared.
    /// </summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="file">The file.</param>
    /// <returns>The number of cases, and all differences.</returns>
    /// <exception cref="Recipes.InputException">The file cannot be read or is damaged.</exception>
    public static (int Count, IReadOnlyList<CaseDifference> Differences) Run(Tokenizer tokenizer, string file)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        var differences = new List<CaseDifference>();
        var count = 0;
        foreach (var item in JsonPart.Parse(file, JsonPart.ReadFile(file)).Get("cases").Items())
        {
            if (item.Find("pair") is { } pair)
                RunPair(
                    tokenizer,
                    item,
                    pair,
                    count,
                    differences);
            else
                RunText(tokenizer, item, count, differences);
            count++;
        }

        return (count, differences);
    }

    private static void RunText(Tokenizer tokenizer, JsonPart item, int index, List<CaseDifference> differences)
    {
        var text = item.Get("text").Text();
        var (ids, plain) = (tokenizer.Encode(text, true), tokenizer.Encode(text));
        CompareIds("ids", ids);
        // Hugging Face's tokenizers recognise special tokens that are written in a text, but tiktoken's encode_ordinary encodes them as
        // characters; a case records the result of its library.
        if (!Says("ids_plain", plain) && !Says("ids_plain", tokenizer.EncodePlain(text)))
            CompareIds("ids_plain", plain);
        if (item.Find("tokens") is { } tokens)
            Compare("tokens", [.. tokens.Items().Select(token => token.Text())], tokenizer.Tokens(text));
        if (item.Find("decoded") is { } decoded)
            Compare("decoded", [decoded.Text()], [tokenizer.Decode(plain, false)]);
        if (item.Find("decoded_skip") is { } skipped)
            Compare("decoded_skip", [skipped.Text()], [tokenizer.Decode(ids)]);

        bool Says(string name, int[] found) =>
            item.Find(name) is { } expected && Numbers(expected).SequenceEqual(found.Select(id => id.ToString()));

        void CompareIds(string name, int[] found)
        {
            if (item.Find(name) is { } expected)
                Compare(name, Numbers(expected), [.. found.Select(id => id.ToString())]);
        }

        void Compare(string name, string[] expected, string[] found)
        {
            if (!expected.SequenceEqual(found, StringComparer.Ordinal))
                differences.Add(new(
                    index,
                    name,
                    text,
                    string.Join(' ', expected),
                    string.Join(' ', found)));
        }
    }

    private static void RunPair(
        Tokenizer tokenizer,
        JsonPart item,
        JsonPart pair,
        int index,
        List<CaseDifference> differences)
    {
        var texts = pair.Items().Select(part => part.Text()).ToList();
        if (texts.Count != 2)
            throw pair.Fault($"a pair has two texts, found {texts.Count}");
        var (ids, types) = tokenizer.EncodePair(texts[0], texts[1]);
        foreach (var (name, found) in (ReadOnlySpan<(string, int[])>)[("ids", ids), ("type_ids", types)])
        {
            if (item.Find(name) is { } expected && !Numbers(expected).SequenceEqual(found.Select(id => id.ToString())))
                differences.Add(new(
                    index,
                    name,
                    string.Join(" | ", texts),
                    string.Join(' ', Numbers(expected)),
                    string.Join(' ', found)));
        }
    }

    private static string[] Numbers(JsonPart part) => [.. part.Items().Select(id => id.Integer(int.MinValue, int.MaxValue).ToString())];
}
