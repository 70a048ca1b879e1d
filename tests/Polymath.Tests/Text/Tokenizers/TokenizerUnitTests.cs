using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Tokenizers;

[Trait("kind", "unit")]
public class TokenizerUnitTests
{
    [Fact]
    public void CharactersAreNumberedByCount()
    {
        var tokenizer = CharacterTokenizerTrainer.Train(["banana", "cab"], 2, ["<|bos|>"]);
        Assert.Equal(["<|bos|>", "<0x00>"], Enumerable.Range(0, 2).Select(tokenizer.TokenOf));
        Assert.Equal(["a", "b", "n"], Enumerable.Range(257, 3).Select(tokenizer.TokenOf));
        Assert.Equal(["<0x63>", "a", "b"], tokenizer.Encode("cab").Select(tokenizer.TokenOf));
        Assert.Equal([0, 257], tokenizer.Encode("<|bos|>a"));
        Assert.Equal("a", tokenizer.Decode([0, 257]));
        Assert.Equal("<|bos|>a", tokenizer.Decode([0, 257], false));
    }

    [Fact]
    public void AStreamHoldsHalfACharacterBack()
    {
        var tokenizer = CharacterTokenizerTrainer.Train(["a"], 1, []);
        var stream = tokenizer.NewStream();
        Assert.Equal("", string.Concat(tokenizer.Encode("é").Select(stream.Append)));
        Assert.Equal("éa", stream.Append(tokenizer.IdOf("a")!.Value));
        Assert.Equal("", stream.Append(tokenizer.IdOf("<0xC3>")!.Value));
        Assert.Equal("\uFFFD", stream.Flush());
    }

    [Theory]
    [InlineData("x")]
    [InlineData("")]
    [InlineData("<0x41>")]
    public void SpecialTokensThatLookLikeTextAreRefused(string token)
        => Assert.Throws<InputException>(() => CharacterTokenizerTrainer.Train(["a"], 1, [token]));

    [Theory]
    [InlineData("Morse", "model.type")]
    public void OtherKindsAreRefusedByName(string kind, string key)
    {
        var fault = Assert.Throws<InputException>(() => Mutated(root => root["model"]!["type"] = kind));
        Assert.Contains(kind, fault.Message, StringComparison.Ordinal);
        Assert.Contains(key, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void FaultsNameTheirKey()
    {
        Assert.Contains(
            "'model.merges[0]'", Refusal(root => root["model"]!["merges"]![0] = new JsonArray("zz", "q")), StringComparison.Ordinal);
        Assert.Contains("'model'", Refusal(root => ((JsonObject)root["model"]!).Remove("vocab")), StringComparison.Ordinal);
        Assert.Contains(
            "'model.vocab'", Refusal(root => root["model"]!["vocab"] = new JsonObject { ["a"] = 1, ["b"] = 1 }), StringComparison.Ordinal);
        Assert.Contains("'pre_tokenizer'", Refusal(root => root["pre_tokenizer"]!["type"] = "Odd"), StringComparison.Ordinal);
        Assert.Contains("'added_tokens[0].id'", Refusal(root => root["added_tokens"]![0]!["id"] = "x"), StringComparison.Ordinal);
    }

    [Fact]
    public void AddedTokensTakeTheSpaceTheyAskFor()
    {
        var tokenizer = Mutated(root => ((JsonArray)root["added_tokens"]!).Add(new JsonObject
        {
            ["id"] = 2000, ["content"] = "<mask>", ["single_word"] = false, ["lstrip"] = true, ["rstrip"] = false, ["normalized"] = false,
            ["special"] = true,
        }));
        Assert.Equal(2001, tokenizer.VocabularySize);
        Assert.Equal(["H", "<mask>", "Ġ", "x"], tokenizer.Encode("H  <mask> x").Select(tokenizer.TokenOf));
        Assert.Equal("", tokenizer.TokenOf(1900));
    }

    [Theory]
    [InlineData("a++b", "(?>a+)b")]
    [InlineData(@"[^\]x]*+\p{L}?+", @"(?>[^\]x]*)(?>\p{L}?)")]
    [InlineData("(?:ab|c)++d", "(?>(?:ab|c)+)d")]
    [InlineData("a+b*?", "a+b*?")]
    [InlineData(@"\p{N}{1,3}+x", @"(?:\p{N}{1,3})+x")]
    public void PossessiveQuantifiersBecomeAtomicGroups(string pattern, string expected) =>
        Assert.Equal(expected, PossessiveQuantifiers.ToAtomic(pattern));

    [Theory]
    [InlineData("e\u0301", "\u00e9", "e\u0301")]
    [InlineData("\uAC01", "\uAC01", "\u1100\u1161\u11A8")]
    [InlineData("\u212B\u0323", "\u1EA0\u030A", "A\u0323\u030A")]
    [InlineData("\u0958", "\u0915\u093C", "\u0915\u093C")]
    public void UnicodeFormsFollowTheStandard(string text, string composed, string decomposed)
    {
        Assert.Equal(composed, UnicodeForms.Apply(text, UnicodeForm.Nfc));
        Assert.Equal(decomposed, UnicodeForms.Apply(text, UnicodeForm.Nfd));
    }

    [Fact]
    public void CompatibilityFormsUnfoldLigatures() => Assert.Equal("fi1A", UnicodeForms.Apply("\uFB01\u2460\uFF21", UnicodeForm.Nfkc));

    private static string Refusal(Action<JsonNode> change) => Assert.Throws<InputException>(() => Mutated(change)).Message;

    private static Tokenizer Mutated(Action<JsonNode> change)
    {
        var root = JsonNode.Parse(File.ReadAllBytes(TextFixtures.At("tokenizers", "gpt2", "tokenizer.json")))!;
        change(root);
        return TokenizerReader.Read("tokenizer.json", System.Text.Encoding.UTF8.GetBytes(root.ToJsonString()));
    }
}
