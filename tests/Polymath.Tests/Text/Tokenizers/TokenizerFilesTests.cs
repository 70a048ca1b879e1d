using System.Text.Json.Nodes;
using CsCheck;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Tests.Text.Tokenizers;

/// <summary>
/// Tokenizers in older files: they are saved in their original form, converted if possible, and damaged files are refused.
/// </summary>
[Trait("kind", "invariant")]
public class TokenizerFilesTests
{
    private static readonly string[] Texts = ["Hello  world\n\ttab", "床前明月光 \U00020000", "   three", "<s>x</s>[gMASK]", ""];

    public static TheoryData<string> Folders =>
        [.. Directory.GetDirectories(TextFixtures.At("tokenizer-files")).Select(Path.GetFileName).OfType<string>().Order()];

    [Theory]
    [MemberData(nameof(Folders))]
    public void SavingAndLoadingKeepsEveryIdAndText(string name)
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-files", name));
        using var scratch = new ScratchFolder();
        tokenizer.Save(scratch.Path);
        var loaded = Tokenizer.Load(scratch.Path);
        Assert.Equal(tokenizer.VocabularySize, loaded.VocabularySize);
        Assert.Equal(tokenizer.SpecialTokens.OrderBy(pair => pair.Value), loaded.SpecialTokens.OrderBy(pair => pair.Value));
        foreach (var text in Texts)
        {
            Assert.Equal(tokenizer.Encode(text, true), loaded.Encode(text, true));
            Assert.Equal(tokenizer.EncodePlain(text), loaded.EncodePlain(text));
            Assert.Equal(tokenizer.Decode(tokenizer.Encode(text)), loaded.Decode(loaded.Encode(text)));
        }
    }

    [Fact]
    public void AContractBesideOlderFilesKeepsTheirSettings()
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-files", "glm1_new"));
        using var scratch = new ScratchFolder();
        tokenizer.Save(scratch.Path);
        new TextContract(ChatTemplate.Words("<sop>", "<eop>"), []).Save(scratch.Path, tokenizer);
        Assert.Equal(tokenizer.Encode("a\n  b", true), Tokenizer.Load(scratch.Path).Encode("a\n  b", true));
        Assert.Contains("chat_template", File.ReadAllText(scratch.At("tokenizer_config.json")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("llama_legacy")]
    [InlineData("t5")]
    public void WhatCanBeSaidInOneFileGivesTheSameIds(string name)
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-files", name));
        var converted = TokenizerReader.Read("tokenizer.json", tokenizer.ToJson().ToArray());
        foreach (var text in (string[])["Hello world", "unmi 山 inglo明月 ßsh", "a b  c", "vel 12 345."])
        {
            Assert.Equal(tokenizer.Encode(text, true), converted.Encode(text, true));
            Assert.Equal(tokenizer.Decode(tokenizer.Encode(text)), converted.Decode(converted.Encode(text)));
        }
    }

    [Theory]
    [InlineData("glm1_new")]
    [InlineData("glm3")]
    public void WhatCannotBeSaidInOneFileIsRefused(string name)
        => Assert.Contains(
            "Keep its own files",
            Assert.Throws<InputException>(() => Tokenizer.Load(TextFixtures.At("tokenizer-files", name)).ToJson()).Message,
            StringComparison.Ordinal);

    [Theory]
    [MemberData(nameof(Folders))]
    public void NoTextCrashesAndStreamingGivesWhatDecodingGives(string name)
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-files", name));
        Gen.String.Sample(text =>
        {
            var ids = tokenizer.Encode(text, true);
            Assert.All(ids, id => Assert.InRange(id, 0, tokenizer.VocabularySize - 1));
            _ = tokenizer.EncodePlain(text);
            var stream = tokenizer.NewStream(false);
            Assert.Equal(tokenizer.Decode(ids, false), string.Concat(ids.Select(stream.Append).ToList()) + stream.Flush());
        }, iter: 100);
    }

    [Fact]
    public void ManyTextsAtOnceGiveWhatEachGives()
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizers", "bert"));
        string[] texts = [.. Enumerable.Range(0, 500).Select(i => $"text {i % 37} of MANY, ünïcode {i}")];
        Assert.Equal(texts.Select(text => tokenizer.Encode(text, true)), tokenizer.EncodeMany(texts, true));
    }

    [Fact]
    public void TheMarksOfSpacesComeBack()
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizer-files", "glm1_new"));
        foreach (var text in (string[])["a\n\nb\tc", "def f():\n        return 1", "x" + new string(' ', 170) + "y"])
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        Assert.Contains("<|blank_8|>", tokenizer.Tokens("a        b"));
        Assert.Equal([tokenizer.IdOf("[gMASK]")!.Value, tokenizer.IdOf("<sop>")!.Value], tokenizer.Encode("", true));
        Assert.Equal(20000, Tokenizer.Load(TextFixtures.At("tokenizer-files", "glm1_old")).IdOf("<unk>"));
    }

    [Theory]
    [InlineData("sp-llama", "tokenizer.model")]
    [InlineData("sp-t5", "spiece.model")]
    public void DamagedPieceFilesAreRefusedAndNothingElse(string name, string file)
    {
        var good = File.ReadAllBytes(TextFixtures.At("tokenizer-files", name, file));
        Gen.Select(Gen.OneOf(Gen.Int[0, 400], Gen.Int[0, good.Length - 1]), Gen.Byte, Gen.Int[0, 2]).Sample(fault =>
        {
            var (at, value, how) = fault;
            byte[] bytes = how switch
            {
                0 => [.. good[..at], value, .. good[(at + 1)..]],
                1 => good[..at],
                _ => [.. good[..at], value, .. good[at..]],
            };
            try
            {
                var tokenizer = new SentencePieceTokenizer(
                    SentencePieceFile.Read(file, bytes),
                    new(
                        "plain",
                        0,
                        false,
                        false,
                        [],
                        [],
                        PostProcessor.None),
                    new Dictionary<string, ReadOnlyMemory<byte>>());
                _ = tokenizer.Decode(tokenizer.Encode("Hello 床前明月光 \u00e9\u0301"));
            }
            catch (InputException refusal)
            {
                Assert.Contains(file, refusal.Message, StringComparison.Ordinal);
            }
        }, iter: 300);
    }

    [Theory]
    [InlineData("0A FF FF FF FF 0F", "bytes, but")]
    [InlineData("0A 02 0A 05", "5 bytes, but 0 are left")]
    [InlineData("0A 08 0A 01 61 15 00 00 C0 7F", "NaN")]
    [InlineData("", "no pieces")]
    [InlineData("0A 03 0A 01 61", "0 unknown pieces")]
    [InlineData("0B", "unknown kind 3")]
    public void LyingFilesAreRefusedByName(string hex, string what)
    {
        var fault = Assert.Throws<InputException>(
            () => SentencePieceFile.Read("m.model", Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal))));
        Assert.Contains(what, fault.Message, StringComparison.Ordinal);
        Assert.Contains("m.model", fault.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("x.tiktoken", "YQ== 0\nYg== zero\n", "line 2")]
    [InlineData("x.tiktoken", "YQ== 0\nYg== 0\n", "twice")]
    [InlineData("x.tiktoken", "Y!== 0\n", "base64")]
    [InlineData("x.tiktoken", "\n", "no tokens")]
    [InlineData("vocab.txt", "[UNK]\n[CLS]\na\n", "[SEP]")]
    public void DamagedLinesAreRefused(string name, string text, string what)
    {
        using var scratch = new ScratchFolder();
        scratch.Write(name, text);
        Assert.Contains(what, Assert.Throws<InputException>(() => Tokenizer.Load(scratch.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AFolderWithoutATokenizerIsRefused()
    {
        using var scratch = new ScratchFolder();
        Assert.Contains(
            "tokenizer.model", Assert.Throws<InputException>(() => Tokenizer.Load(scratch.Path)).Message, StringComparison.Ordinal);
        scratch.Write("vocab.json", "{\"a\": 0, \"b\": 1}");
        scratch.Write("merges.txt", "#version: 0.2\na b c\n");
        Assert.Contains("line 2", Assert.Throws<InputException>(() => Tokenizer.Load(scratch.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void SettingsThatAreDamagedAreRefused()
    {
        using var scratch = new ScratchFolder();
        File.Copy(TextFixtures.At("tokenizer-files", "llama2", "tokenizer.model"), scratch.At("tokenizer.model"));
        var settings = new JsonObject
        {
            ["tokenizer_class"] = "LlamaTokenizer",
            ["added_tokens_decoder"] = new JsonObject { ["x"] = new JsonObject { ["content"] = "<x>" } },
        };
        scratch.Write("tokenizer_config.json", settings.ToJsonString());
        Assert.Contains(
            "'x' is not an id", Assert.Throws<InputException>(() => Tokenizer.Load(scratch.Path)).Message, StringComparison.Ordinal);
    }
}
