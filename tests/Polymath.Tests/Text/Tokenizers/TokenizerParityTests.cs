using System.Text.Json;
using Polymath.Text;

namespace Polymath.Tests.Text.Tokenizers;

[Trait("kind", "parity")]
public class TokenizerParityTests
{
    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama3")]
    [InlineData("qwen")]
    [InlineData("roberta")]
    [InlineData("llama2")]
    public void EveryCaseAgreesWithTheReferenceLibrary(string name)
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizers", name));
        using var cases = JsonDocument.Parse(File.ReadAllBytes(TextFixtures.At("tokenizers", name, "cases.json")));
        var count = 0;
        foreach (var item in cases.RootElement.GetProperty("cases").EnumerateArray())
        {
            count++;
            if (item.TryGetProperty("pair", out var pair))
            {
                var (ids, types) = tokenizer.EncodePair(pair[0].GetString()!, pair[1].GetString()!);
                Assert.Equal(Ints(item, "ids"), ids);
                Assert.Equal(Ints(item, "type_ids"), types);
                continue;
            }

            var text = item.GetProperty("text").GetString()!;
            var plain = tokenizer.Encode(text);
            Assert.Equal(Ints(item, "ids_plain"), plain);
            Assert.Equal(Ints(item, "ids"), tokenizer.Encode(text, true));
            Assert.Equal(item.GetProperty("tokens").EnumerateArray().Select(token => token.GetString()), plain.Select(tokenizer.TokenOf));
            Assert.Equal(item.GetProperty("decoded").GetString(), tokenizer.Decode(plain, false));
            Assert.Equal(item.GetProperty("decoded_skip").GetString(), tokenizer.Decode(tokenizer.Encode(text, true)));
        }

        Assert.Equal(25, count);
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
            expected.RootElement.GetProperty("model").GetProperty("vocab").EnumerateObject().OrderBy(entry => entry.Value.GetInt32()).Select(entry => entry.Name),
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

    private static int[] Ints(JsonElement item, string name) => [.. item.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];
}
