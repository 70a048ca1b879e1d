namespace Polymath.Text;

/// <summary>Reads the pre-tokenizers of a tokenizer file.</summary>
internal static class PreTokenizerReader
{
    /// <summary>Reads them as a flat list.</summary>
    /// <param name="part">The pre-tokenizer's part of the file, or null.</param>
    /// <param name="modelReadsBytes">Whether the model can read bytes itself.</param>
    /// <param name="bytesLast">Whether the last of them writes words in the byte alphabet; this is then left to the model, which reads
    /// bytes faster than letters.</param>
    public static IReadOnlyList<PreTokenizer> Read(JsonPart? part, bool modelReadsBytes, out bool bytesLast)
    {
        var steps = new List<PreTokenizer>();
        if (part is { } given)
            Collect(given, steps);
        bytesLast = modelReadsBytes && steps is [.., ByteLevelPreTokenizer];
        if (bytesLast)
            steps[^1] = ((ByteLevelPreTokenizer)steps[^1]).WithoutMapping();
        return steps;
    }

    /// <summary>Reads when a sign for the space is put in front: <c>always</c>, <c>first</c> or <c>never</c>.</summary>
    public static string PrependScheme(JsonPart part)
    {
        if (part.Find("add_prefix_space") is { } old && !old.Flag())
            return "never";
        if (part.Find("prepend_scheme") is not { } scheme)
            return "always";
        return scheme.Text() is "always" or "first" or "never"
            ? scheme.Text()
            : throw scheme.Fault($"'{scheme.Text()}' is not one of always, first, never");
    }

    private static void Collect(JsonPart part, List<PreTokenizer> steps)
    {
        switch (part.Get("type").Text())
        {
            case "Sequence":
                foreach (var item in part.Get("pretokenizers").Items())
                    Collect(item, steps);
                break;
            case "ByteLevel":
                steps.Add(
                    new ByteLevelPreTokenizer(part.Find("add_prefix_space")?.Flag() ?? true, part.Find("use_regex")?.Flag() ?? true, true));
                break;
            case "Split":
                steps.Add(new SplitPreTokenizer(
                    TextPattern.Read(part.Get("pattern")),
                    SplitBehaviors.Read(part.Get("behavior")),
                    part.Find("invert")?.Flag() ?? false));
                break;
            default:
                steps.Add(Simple(part));
                break;
        }
    }

    private static PreTokenizer Simple(JsonPart part) => part.Get("type").Text() switch
    {
        "Metaspace" => new MetaspacePreTokenizer(
            DecoderReader.Character(part.Get("replacement")), PrependScheme(part), part.Find("split")?.Flag() ?? true),
        "Digits" => new SetPreTokenizer(
            CharacterSets.Numeric, part.Find("individual_digits")?.Flag() ?? false ? SplitBehavior.Isolated : SplitBehavior.Contiguous),
        "Punctuation" => new SetPreTokenizer(
            CharacterSets.Punctuation, part.Find("behavior") is { } behavior ? SplitBehaviors.Read(behavior) : SplitBehavior.Isolated),
        "WhitespaceSplit" => new WhitespaceSplitPreTokenizer(),
        "Whitespace" => new WhitespacePreTokenizer(),
        "BertPreTokenizer" => new BertPreTokenizer(),
        "CharDelimiterSplit" => new SplitPreTokenizer(TextPattern.Of(Delimiter(part.Get("delimiter"))), SplitBehavior.Removed, false),
        "FixedLength" => new FixedLengthPreTokenizer(part.Find("length")?.Integer(1, int.MaxValue) ?? 5),
        "UnicodeScripts" => new UnicodeScriptsPreTokenizer(),
        var other => throw part.Fault($"the pre-tokenizer '{other}' is not known; known are ByteLevel, Split, Metaspace, Digits, "
            + "Punctuation, WhitespaceSplit, Whitespace, BertPreTokenizer, CharDelimiterSplit, FixedLength, UnicodeScripts, Sequence"),
    };

    private static string Delimiter(JsonPart part)
        => part.Text() is { } text && text.EnumerateRunes().Count() == 1
            ? text
            : throw part.Fault($"one character is needed here, found '{part.Text()}'");
}
