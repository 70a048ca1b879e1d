namespace Polymath.Text;

/// <summary>Reads the normalizers of a tokenizer file.</summary>
internal static class NormalizerReader
{
    /// <summary>Reads them; null where there are none.</summary>
    public static Normalizer? Read(JsonPart? part) => part is { } given ? Read(given) : null;

    private static Normalizer Read(JsonPart part) => part.Get("type").Text() switch
    {
        "Sequence" => new SequenceNormalizer([.. part.Get("normalizers").Items().Select(Read)]),
        "Prepend" => new PrependNormalizer(part.Get("prepend").Text()),
        "Replace" => new ReplaceNormalizer(TextPattern.Read(part.Get("pattern")), part.Get("content").Text()),
        "NFC" => new UnicodeNormalizer(UnicodeForm.Nfc),
        "NFD" => new UnicodeNormalizer(UnicodeForm.Nfd),
        "NFKC" => new UnicodeNormalizer(UnicodeForm.Nfkc),
        "NFKD" => new UnicodeNormalizer(UnicodeForm.Nfkd),
        "Lowercase" => new LowercaseNormalizer(),
        "Strip" => new StripNormalizer(part.Find("strip_left")?.Flag() ?? true, part.Find("strip_right")?.Flag() ?? true),
        "StripAccents" => new StripAccentsNormalizer(),
        "Nmt" => new NmtNormalizer(),
        "ByteLevel" => new ByteLevelNormalizer(),
        "BertNormalizer" => Bert(part),
        "Precompiled" => PrecompiledNormalizer.Read(part),
        var other => throw part.Fault($"the normalizer '{other}' is not known; known are Prepend, Replace, NFC, NFD, NFKC, NFKD, "
            + "Lowercase, Strip, StripAccents, Nmt, ByteLevel, BertNormalizer, Precompiled, Sequence"),
    };

    private static BertNormalizer Bert(JsonPart part)
    {
        var lowercase = part.Find("lowercase")?.Flag() ?? true;
        return new(
            part.Find("clean_text")?.Flag() ?? true,
            part.Find("handle_chinese_chars")?.Flag() ?? true,
            part.Find("strip_accents")?.Flag() ?? lowercase,
            lowercase);
    }
}
