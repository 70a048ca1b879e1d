using System.Text;
using CsCheck;
using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Tokenizers;

/// <summary>Properties of tokenizers of every kind, for any text.</summary>
[Trait("kind", "invariant")]
public class TokenizerKindsTests
{
    public static TheoryData<string> Folders => [.. Directory.GetDirectories(TextFixtures.At("tokenizer-kinds"))
        .Select(Path.GetFileName).OfType<string>().Where(name => !name.StartsWith("trunc", StringComparison.Ordinal)).Order()];

    [Theory]
    [MemberData(nameof(Folders))]
    public void NoTextCrashes(string name)
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-kinds", name));
        var special = tokenizer.SpecialTokens.Where(pair => !pair.Key.Contains("unk", StringComparison.OrdinalIgnoreCase))
            .Select(pair => pair.Value).ToHashSet();
        var hard = Gen.OneOf(
            Gen.String,
            Gen.Int[0xD7F0, 0xE010].Array[0, 20].Select(units => string.Concat(units.Select(unit => (char)unit))),
            Gen.Char[" \n\r\t\0\u2581<s>[MASK]#'床\u0301"].Array[0, 60].Select(units => new string(units)));
        hard.Sample(text =>
        {
            var ids = tokenizer.Encode(text, true);
            Assert.All(ids, id => Assert.InRange(id, 0, tokenizer.VocabularySize - 1));
            Assert.Equal(tokenizer.Encode(text).Length, tokenizer.Tokens(text).Length);
            Assert.DoesNotContain(tokenizer.EncodePlain(text), special.Contains);
            var stream = tokenizer.NewStream();
            Assert.Equal(tokenizer.Decode(ids), string.Concat(ids.Select(stream.Append).ToList()) + stream.Flush());
        }, iter: 100);
    }

    [Theory]
    [InlineData("bpe_gpt4")]
    [InlineData("bpe_gpt4o")]
    [InlineData("bpe_kimi")]
    [InlineData("bpe_deepseek")]
    public void ByteLevelKindsLoseNothing(string name)
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-kinds", name));
        Gen.Int[0, 0x2FFFF].Where(code => code is < 0xD800 or > 0xDFFF).Array[0, 30]
            .Select(codes => string.Concat(codes.Select(code => new Rune(code).ToString()))).Sample(text =>
                Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text), false)), iter: 300);
    }

    [Theory]
    [InlineData("llama2")]
    [InlineData("qwen")]
    public void CuttingTheTextChangesNoId(string name)
    {
        // A long text goes through cuts and caches, short ones through neither.
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizers", name));
        var fresh = Tokenizer.Load(TextFixtures.At("tokenizers", name));
        var text = File.ReadAllText(TextFixtures.At("tokenizer-training", "corpus.txt"));
        var ids = tokenizer.Encode(text);
        Assert.Equal(ids, tokenizer.Encode(text));
        Assert.Equal(ids, fresh.EncodePlain(text));
    }

    [Fact]
    public void CyclicAndRepeatedMergesAreFollowedToAnEnd()
    {
        // The later place of a repeated merge counts, so b and a are merged first, then a and ba.
        const string File = """{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "ba": 3, "aba": 4}, "merges": [["a", "b"],"""
            + """ ["b", "a"], ["ab", "a"], ["a", "ba"], ["a", "b"]]}}""";
        var tokenizer = TokenizerReader.Read("t.json", Encoding.UTF8.GetBytes(File));
        Assert.Equal([4, 3], tokenizer.Encode("ababa"));
    }

    [Theory]
    [InlineData("""{"model": {"type": "Unigram", "unk_id": 3, "vocab": [["a", 0.5]]}}""", "unk_id")]
    [InlineData("""{"model": {"type": "Unigram", "vocab": [["a"]]}}""", "model.vocab[0]")]
    [InlineData("""{"model": {"type": "Unigram", "vocab": [["a", null]]}}""", "model.vocab[0][1]")]
    [InlineData("""{"model": {"type": "WordPiece"}}""", "vocab")]
    [InlineData(
        """{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAA"}}""",
        "base64")]
    [InlineData("""{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "normalizer": {"type": "Precompiled", "precompiled_charsmap":"""
            + """ "/////wAA"}}""",
        "cut off")]
    [InlineData("""{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "pre_tokenizer": {"type": "FixedLength", "length": 0}}""", "length")]
    [InlineData("""{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "truncation": {"max_length": 3, "strategy": "Both"}}""", "Both")]
    [InlineData("""{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[a&&"},"""
            + """ "behavior": "Isolated"}}""",
        "pattern")]
    public void DamagedSettingsAreRefusedByKey(string json, string what)
        => Assert.Contains(
            what,
            Assert.Throws<InputException>(() => TokenizerReader.Read("t.json", Encoding.UTF8.GetBytes(json))).Message,
            StringComparison.Ordinal);

    [Fact]
    public void WithoutAnUnknownTokenTheTextIsRefused()
    {
        foreach (var kind in (string[])[
            """{"type": "WordLevel", "vocab": {"a": 0}}""", """{"type": "WordPiece", "vocab": {"a": 0}}""",
            """{"type": "Unigram", "vocab": [["a", 0]]}""",
        ])
        {
            var tokenizer = TokenizerReader.Read("t.json", Encoding.UTF8.GetBytes($$"""{"model": {{kind}}}"""));
            Assert.Equal([0], tokenizer.Encode("a"));
            Assert.Contains("unknown token", Assert.Throws<InputException>(() => tokenizer.Encode("b")).Message, StringComparison.Ordinal);
        }
    }
}
