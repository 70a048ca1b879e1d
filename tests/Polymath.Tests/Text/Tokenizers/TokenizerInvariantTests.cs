using System.Text;
using CsCheck;
using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Tokenizers;

[Trait("kind", "invariant")]
public class TokenizerInvariantTests
{
    private static readonly string[] Sample = ["床前明月光，疑是地上霜。", "Hello hello world, don't 12 345!\n", "  a\t b ", "𠀀𠀁 é e\u0301"];
    private static readonly Tokenizer Characters = CharacterTokenizerTrainer.Train(Sample, 1, ["<|bos|>", "<|eos|>"]);
    private static readonly Tokenizer Bytes = ByteLevelBpeTrainer.Train(Sample, 300, 1, ["<|bos|>", "<|eos|>"]);

    private static readonly Gen<string> Unicode = Gen.Frequency(
        (5, Gen.Int[32, 126]),
        (2, Gen.Int[0, 31]),
        (3, Gen.Int[0xA0, 0xD7FF]),
        (1, Gen.Int[0xE000, 0xFFFF]),
        (2, Gen.Int[0x10000, 0x10FFFF]),
        (2, Gen.OneOf<int>([.. new[] { 0x20, 0x0A, 0x27, 0x301, 0x3000, 0x20000, 0x1D7D8, 0x5E8A, 0x3C, 0x7C, 0x3E }.Select(Gen.Const)])))
        .Array[0, 40].Select(codes => string.Concat(codes.Select(code => new Rune(code).ToString())));

    [Fact]
    public void DecodingUndoesEncoding() => Unicode.Sample(text =>
    {
        Assert.Equal(text, Characters.Decode(Characters.Encode(text)));
        Assert.Equal(text, Bytes.Decode(Bytes.Encode(text)));
        Assert.Equal(text, Bytes.Decode(Bytes.EncodePlain(text), false));
    }, iter: 3000);

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama3")]
    [InlineData("qwen")]
    [InlineData("llama2")]
    public void StreamingGivesWhatDecodingGives(string name)
    {
        var tokenizer = name == "llama2" ? Characters : Tokenizer.Load(TextFixtures.At("tokenizers", name));
        var reference = Tokenizer.Load(TextFixtures.At("tokenizers", name));
        Gen.Int[0, tokenizer.VocabularySize + 3].Array[0, 30].Sample(ids =>
        {
            foreach (var each in (Tokenizer[])[tokenizer, reference])
            {
                var stream = each.NewStream(false);
                var pieces = ids.Select(stream.Append).ToList();
                pieces.Add(stream.Flush());
                Assert.Equal(each.Decode(ids, false), string.Concat(pieces));
                Assert.All(
                    pieces, piece => Assert.False(piece.Length > 0 && (char.IsLowSurrogate(piece[0]) || char.IsHighSurrogate(piece[^1]))));
            }
        }, iter: 500);
    }

    [Fact]
    public void PlainTextNeverBringsInSpecialTokens()
    {
        foreach (var name in (string[])["gpt2", "llama3", "qwen", "roberta", "llama2"])
        {
            var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizers", name));
            var special = tokenizer.SpecialTokens.Values.ToHashSet();
            // An unknown character may only be written as the unknown token.
            special.Remove(tokenizer.IdOf("<unk>") ?? -1);
            var text = "a" + string.Join(" x ", tokenizer.SpecialTokens.Keys) + string.Concat(tokenizer.SpecialTokens.Keys);
            Assert.Contains(tokenizer.Encode(text), special.Contains);
            Assert.DoesNotContain(tokenizer.EncodePlain(text), special.Contains);
        }
    }

    [Fact]
    public void SavingAndLoadingKeepsEveryId()
    {
        using var scratch = new ScratchFolder();
        foreach (var tokenizer in (Tokenizer[])[Characters, Bytes])
        {
            tokenizer.Save(scratch.Path);
            Assert.Equal([Tokenizer.FileName], Directory.GetFiles(scratch.Path).Select(Path.GetFileName));
            var loaded = Tokenizer.Load(scratch.Path);
            Assert.Equal(tokenizer.VocabularySize, loaded.VocabularySize);
            Unicode.Sample(text => Assert.Equal(tokenizer.Encode(text), loaded.Encode(text)), iter: 200);
        }
    }

    [Fact]
    public void ScannersFindTheWordsOfTheirPatterns()
    {
        foreach (var pattern in (string[])[WordScanner.Gpt2Pattern, WordScanner.Llama3Pattern, WordScanner.QwenPattern])
        {
            var scanner = WordScanner.For(pattern)!;
            var regex = TextPattern.OfRegex(pattern)!;
            Unicode.Sample(text =>
            {
                var words = new List<(int, int)>();
                for (int at = 0, end; at < text.Length; at = end)
                    words.Add((at, end = scanner.EndOf(text, at)));
                Assert.Equal(regex.Matches(text), words);
            }, iter: 3000);
        }
    }

    [Fact]
    public void DamagedFilesAreRefusedAndNothingElse()
    {
        var good = File.ReadAllBytes(TextFixtures.At("tokenizers", "llama2", "tokenizer.json"));
        // Faults near the beginning and the end, where the structure is, and anywhere.
        var places = Gen.OneOf(Gen.Int[0, 3000], Gen.Int[good.Length - 2000, good.Length - 1], Gen.Int[0, good.Length - 1]);
        Gen.Select(places, Gen.Byte, Gen.Int[0, 3]).Array[1, 4].Sample(faults =>
        {
            var bytes = faults.Aggregate(
                good, (current, fault) => Damage(current, Math.Min(fault.Item1, current.Length - 1), fault.Item2, fault.Item3));
            ReadOrRefuse(bytes);
        }, iter: 400);
        Gen.Byte.Array[0, 60].Sample(ReadOrRefuse, iter: 500);
    }

    private static byte[] Damage(byte[] bytes, int at, byte value, int how) => at < 0 ? bytes : how switch
    {
        0 => [.. bytes[..at], value, .. bytes[(at + 1)..]],
        1 => [.. bytes[..at], .. bytes[(at + 1)..]],
        2 => [.. bytes[..at], value, .. bytes[at..]],
        _ => bytes[..at],
    };

    private static void ReadOrRefuse(byte[] bytes)
    {
        try
        {
            var tokenizer = TokenizerReader.Read("tokenizer.json", bytes);
            _ = tokenizer.Decode(tokenizer.Encode("Hello 床前明月光 <s>", true));
        }
        catch (InputException fault)
        {
            Assert.Contains("tokenizer.json", fault.Message, StringComparison.Ordinal);
        }
    }
}
