using System.Text.Json.Nodes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>The verbs of tokenizers.</summary>
[Trait("kind", "invariant")]
public sealed class TokenizerVerbTests
{
    private static string Do(string folder, params string[] arguments)
    {
        var result = CliProgram.Run(folder, ["tokenizer", .. arguments]);
        Assert.True(result.Code == 0, result.All);
        return result.Out;
    }

    [Fact]
    public void A_tokenizer_is_described_used_and_verified()
    {
        using var scratch = new ScratchFolder();
        var bert = TextFixtures.At("tokenizers", "bert");
        var info = Do(scratch.Path, "info", bert);
        foreach (var said in new[] { "WordPiece", "BertNormalizer", "BertPreTokenizer", "TemplateProcessing", "[CLS]=2" })
            Assert.Contains(said, info);
        Assert.Equal("WordPiece", (string)JsonNode.Parse(Do(scratch.Path, "info", bert, "--json"))!["description"]!["kind"]!);
        Assert.Contains("SentencePiece Bpe (ChatGLM3)", Do(scratch.Path, "info", TextFixtures.At("tokenizer-files", "glm3")));
        var encoded = JsonNode.Parse(Do(scratch.Path, "encode", bert, "Hello", "--special", "--json"))!;
        Assert.Equal("[CLS]", (string)encoded["tokens"]![0]!);
        var ids = string.Join(',', encoded["ids"]!.AsArray().Select(id => (int)id!));
        Assert.Equal("hello\n", Do(scratch.Path, "decode", bert, ids));
        Assert.StartsWith("[CLS] hello", Do(
            scratch.Path,
            "decode",
            bert,
            ids,
            "--special"));
        scratch.Write("text.txt", "Hello");
        Assert.Equal(Do(scratch.Path, "encode", bert, "Hello"), Do(scratch.Path, "encode", bert, "--file", "text.txt"));
        Assert.Equal(Do(scratch.Path, "encode", bert, "Hello"), CliProgram.Say(scratch.Path, "Hello", "tokenizer", "encode", bert).Out);
        Assert.Contains("25 of 25 cases agree", Do(scratch.Path, "verify", bert));
    }

    [Fact]
    public void A_difference_is_told_and_fails()
    {
        using var scratch = new ScratchFolder();
        scratch.Write("cases.json", """{"cases": [{"text": "a", "ids_plain": [1, 2]}, {"text": "", "ids_plain": []}]}""");
        var bert = TextFixtures.At("tokenizers", "bert");
        var result = CliProgram.Run(scratch.Path, "tokenizer", "verify", bert, "--cases", "cases.json");
        Assert.Equal(1, result.Code);
        Assert.Contains("ids_plain", result.Out);
        Assert.Contains("1 of 2 cases agree", result.Out);
        var json = JsonNode.Parse(CliProgram.Run(scratch.Path, "tokenizer", "verify", bert, "--cases", "cases.json", "--json").Out)!;
        Assert.Equal((2, 1, false), ((int)json["cases"]!, (int)json["failed"]!, (bool)json["passed"]!));
        Assert.Equal("1 2", (string)json["differences"]![0]!["expected"]!);
    }

    [Theory]
    [InlineData("bpe")]
    [InlineData("wordpiece")]
    [InlineData("unigram")]
    public void A_tokenizer_is_trained(string kind)
    {
        using var scratch = new ScratchFolder();
        var corpus = TextFixtures.At("tokenizer-training", "corpus.txt");
        Assert.Contains("tokens learned", Do(
            scratch.Path, "train", "--kind", kind, "--size", "420", "--files", corpus, "--output", "made"));
        Assert.Contains("ids", Do(scratch.Path, "info", "made"));
        Assert.Equal("vel mi\n", Do(scratch.Path, "decode", "made", Do(scratch.Path, "encode", "made", "vel mi").Split('\n')[0]));
    }

    [Fact]
    public void Too_little_text_is_told()
    {
        using var scratch = new ScratchFolder();
        scratch.Write("empty.txt", "\n\n");
        scratch.Write("short.txt", "a word");
        var empty = CliProgram.Run(scratch.Path, "tokenizer", "train", "--size", "300", "--files", "empty.txt", "--output", "made");
        Assert.Equal(2, empty.Code);
        Assert.Contains("There is nothing to learn from: empty.txt is empty", empty.Error);
        Assert.False(Directory.Exists(scratch.At("made")));
        var little = CliProgram.Run(scratch.Path, "tokenizer", "train", "--size", "900", "--files", "short.txt", "--output", "made");
        Assert.Equal(0, little.Code);
        Assert.Contains("--size asked for 900", little.Error);
        var verify = CliProgram.Run(scratch.Path, "tokenizer", "verify", "made");
        Assert.Contains("Give one with --cases FILE", verify.Error);
    }

    [Theory]
    [InlineData("{kind: wordPiece, vocabularySize: 90}")]
    [InlineData("{kind: unigram, vocabularySize: 320}")]
    public void A_recipe_trains_each_kind(string kind)
    {
        // Few pieces begin a word, so the labels are named by letters that do.
        using var recipe = new TinyRecipe(tiny => tiny.With("stages.tell.method.verbalizer.words", "{soft: s, hard: a}"));
        var result = recipe.Run("x", "--set", "tokenizer=" + kind, "--stop-after-step", "1");
        Assert.True(result.Code == 0, result.All);
        Assert.Contains("ids", Do(recipe.Path, "info", "x/tokenizer"));
    }

    [Fact]
    public void Older_files_are_converted()
    {
        using var scratch = new ScratchFolder();
        Do(scratch.Path, "convert", TextFixtures.At("tokenizer-files", "llama_legacy"), "--output", "one");
        Assert.True(File.Exists(scratch.At("one", "tokenizer.json")));
        Assert.Equal(
            2, CliProgram.Run(scratch.Path, "tokenizer", "convert", TextFixtures.At("tokenizer-files", "glm3"), "--output", "two").Code);
    }
}
