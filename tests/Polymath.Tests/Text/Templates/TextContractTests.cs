using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Tests.Text.Templates;

/// <summary>The layout that is saved with a model.</summary>
[Trait("kind", "invariant")]
public sealed class TextContractTests : IDisposable
{
    private static readonly Tokenizer Tokenizer = Toy.Letters().Tokenizer;
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private string Refusal(Tokenizer tokenizer) => Assert.Throws<InputException>(() => TextContract.Load(folder.Path, tokenizer)).Message;

    [Fact]
    public void What_was_saved_is_read_and_encodes_the_same()
    {
        var contract = new TextContract(ChatTemplate.Own with { System = "be kind" }, []);
        contract.Save(folder.Path, Tokenizer);
        var again = TextContract.Load(folder.Path, Tokenizer);
        Assert.Equal(contract.Template, again.Template);
        Assert.True(again.Recorded);
        Turn[] turns = [new("hello", "yes"), new("and")];
        Assert.Equal(contract.Encode(turns, Tokenizer), again.Encode(turns, Tokenizer));
        Assert.Contains("bos_token", File.ReadAllText(folder.At("tokenizer_config.json")));
    }

    [Fact]
    public void A_tokenizer_that_gives_other_tokens_is_refused()
    {
        new TextContract(ChatTemplate.Own, []).Save(folder.Path, Tokenizer);
        var other = Toy.Letters("zyxwvutsrqponmlkjihgfedcbaaa").Tokenizer;
        Assert.Contains("not the one the model was trained with", Refusal(other));
    }

    [Fact]
    public void A_template_that_was_changed_is_refused()
    {
        new TextContract(ChatTemplate.Own, []).Save(folder.Path, Tokenizer);
        var file = folder.At("polymath.json");
        File.WriteAllText(
            file, File.ReadAllText(file).Replace("\"User\": \"<|user|>\"", "\"User\": \"<|assistant|>\"", StringComparison.Ordinal));
        Assert.Contains("not the one the model was trained with", Refusal(Tokenizer));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"template\": null, \"conversions\": [], \"golden\": []}")]
    [InlineData("{\"template\": 1, \"conversions\": [], \"golden\": []}")]
    public void A_damaged_file_is_told(string content)
    {
        folder.Write("polymath.json", content);
        Assert.Contains("polymath.json", Refusal(Tokenizer));
    }

    [Fact]
    public void Without_a_record_the_layout_is_guessed_from_the_tokenizer()
    {
        var guessed = TextContract.Load(folder.Path, Tokenizer);
        Assert.False(guessed.Recorded);
        Assert.Equal(("<|begin|>", "<|end|>", false), (guessed.Template.Begin, guessed.Template.End, guessed.Template.UserIsSpecial));
        folder.Write(
            "tokenizer_config.json",
            new JsonObject { ["bos_token"] = new JsonObject { ["content"] = "<|user|>" }, ["eos_token"] = "<|assistant|>" }.ToJsonString());
        guessed = TextContract.Load(folder.Path, Tokenizer);
        Assert.Equal(("<|user|>", "<|assistant|>"), (guessed.Template.Begin, guessed.Template.End));
    }
}
