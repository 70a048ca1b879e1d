using System.Text.Json;
using Polymath.Text;

namespace Polymath.Tests.Text.Tokenizers;

[Trait("kind", "parity")]
public class TokenizerParityTests
{
    public static TheoryData<string> Cases =>
        [.. new[] { "tokenizers", "tokenizer-kinds", "tokenizer-files" }
            .SelectMany(kind => Directory.GetDirectories(TextFixtures.At(kind)).Select(folder => $"{kind}/{Path.GetFileName(folder)}"))
            .Order()];

    [Theory]
    [MemberData(nameof(Cases))]
    public void EveryCaseAgreesWithTheReferenceLibrary(string name)
    {
        var folder = TextFixtures.At(name.Split('/'));
        var (count, differences) = TokenizerCases.Run(Tokenizer.Load(folder), Path.Combine(folder, "cases.json"));
        Assert.Equal([], differences);
        Assert.InRange(count, 10, int.MaxValue);
    }

    [Fact]
    public void EveryNormalizerLeavesWhatTheReferenceLibraryLeaves()
    {
        using var reference = JsonDocument.Parse(File.ReadAllBytes(TextFixtures.At("normalizers.json")));
        var texts = reference.RootElement.GetProperty("texts").EnumerateArray().Select(text => text.GetString()!).ToList();
        foreach (var kind in reference.RootElement.GetProperty("results").EnumerateObject())
        {
            var normalizer = NormalizerReader.Read(
                JsonPart.Parse("t.json", System.Text.Encoding.UTF8.GetBytes($$"""{"type": "{{kind.Name}}"}""")))!;
            Assert.Equal(kind.Value.EnumerateArray().Select(text => text.GetString()), texts.Select(normalizer.Apply));
        }
    }

    [Fact]
    public void NoKindIsLeftOut()
    {
        Assert.Equal(7, Cases.Count(row => row.Data.StartsWith("tokenizers/", StringComparison.Ordinal)));
        Assert.True(Cases.Count > 70);
    }

    [Theory]
    [InlineData("bpe_400.json", 400, 0)]
    [InlineData("bpe_600_min5.json", 600, 5)]
    public void TrainerLearnsWhatTheReferenceTrainerLearns(string file, int size, int minimumCount)
    {
        var corpus = File.ReadAllText(TextFixtures.At("tokenizer-training", "corpus.txt")).Split('\n');
        var tokenizer = ByteLevelBpeTrainer.Train(corpus, size, minimumCount, ["<|endoftext|>"]);
        using var expected = JsonDocument.Parse(File.ReadAllBytes(TextFixtures.At("tokenizer-training", file)));
        using var actual = JsonDocument.Parse(tokenizer.ToJson());
        Assert.True(JsonElement.DeepEquals(expected.RootElement, actual.RootElement));
        Assert.Equal(
            expected.RootElement.GetProperty("model").GetProperty("vocab").EnumerateObject()
                .OrderBy(entry => entry.Value.GetInt32()).Select(entry => entry.Name),
            Enumerable.Range(0, tokenizer.VocabularySize).Select(tokenizer.TokenOf));
    }

    [Fact]
    public void MergesWorkedOutByHand()
    {
        // Words: ab x3, abab x2, ba x1. Pairs: ab 3+4=7, ba 2+1=3; after ab: (ab,ab) 2, (b,a) 1.
        var tokenizer = ByteLevelBpeTrainer.Train(["ab", "ab", "ab", "abab", "abab", "ba"], 256 + 3, 1, []);
        Assert.Equal(["ab", "abab", "ba"], Enumerable.Range(256, 3).Select(tokenizer.TokenOf));
        Assert.Equal(["abab", "ab", "a"], tokenizer.Encode("abababa").Select(tokenizer.TokenOf));
    }

    [Fact]
    public void WordPieceTrainerLearnsWhatTheReferenceTrainerLearns()
    {
        using var reference = JsonDocument.Parse(File.ReadAllBytes(TextFixtures.At("tokenizer-training", "wordpiece_300.json")));
        var expected = reference.RootElement.GetProperty("model").GetProperty("vocab")
            .EnumerateObject().OrderBy(entry => entry.Value.GetInt32()).Select(entry => entry.Name).ToList();
        var corpus = File.ReadAllText(TextFixtures.At("tokenizer-training", "corpus.txt")).Split('\n');
        string[] special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        // The library numbers the characters that continue a word in the order of a hash table with random keys, which differs in each run;
        // everything else depends on it.
        var tokenizer = WordPieceTrainer.Train(
            corpus,
            300,
            0,
            special,
            false,
            characters => characters.OrderBy(expected.IndexOf));
        Assert.Equal(expected, Enumerable.Range(0, tokenizer.VocabularySize).Select(tokenizer.TokenOf));
        var own = WordPieceTrainer.Train(
            corpus,
            300,
            0,
            special,
            false);
        Assert.Equal(expected.Take(33), Enumerable.Range(0, 33).Select(own.TokenOf));
        Assert.Equal(300, own.VocabularySize);
    }
}
