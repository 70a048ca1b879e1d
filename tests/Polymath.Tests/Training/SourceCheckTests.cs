using Polymath.Tests.Recipes;
using Polymath.Tests.Text;
using Polymath.Training;

namespace Polymath.Tests.Training;

/// <summary>What a check tells of a recipe's rows before anything is trained.</summary>
[Trait("kind", "unit")]
public sealed class SourceCheckTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void What_the_template_does_not_print_is_told_where_the_tokenizer_is_at_hand()
    {
        const string rows = """
            {"messages": [{"role": "user", "content": "q", "mood": "glad"}, {"role": "assistant", "content": "a", "mark": 3}]}
            """;
        var recipe = RecipeBuilder.Named("told")
            .Model($"folder: {TextFixtures.At("models", "qwen2")}")
            .Tokenizer($"folder: {TextFixtures.At("tokenizers", "qwen")}")
            .Data("talk", $"files: {folder.Write("rows.jsonl", rows)}", "shape: auto", "split: {validation: 0, test: 0}")
            .Stage("teach", "finetune", "data: talk", "steps: 2", "optimizer: {rate: 1e-3}")
            .With("chat", "{template: chatml}");
        var notes = SourceCheck.Notes(SampleRecipes.Read(recipe.Text).OrThrow(), folder.Path);
        Assert.Contains(notes, note => note.Contains("key 'mood' of messages is not printed by the template"));
        Assert.Contains(notes, note => note.Contains("key 'mark' of messages is not printed by the template"));
    }
}
