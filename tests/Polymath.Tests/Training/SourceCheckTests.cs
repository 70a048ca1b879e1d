using Polymath.Recipes;
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

    private IReadOnlyList<string> Notes(string file, string rows, string kind, params string[] keys)
    {
        folder.Write(file, rows);
        var recipe = RecipeBuilder.Named("checked").Model($"folder: {TextFixtures.At("models", "qwen2")}")
            .Tokenizer($"folder: {TextFixtures.At("tokenizers", "qwen")}")
            .Data("d", $"files: {folder.At(file)}", "split: {validation: 0, test: 0}")
            .Stage("teach", kind, ["data: d", "steps: 2", "optimizer: {rate: 1e-3}", .. keys]);
        return SourceCheck.Notes(SampleRecipes.Read(recipe.Text).OrThrow(), folder.Path);
    }

    [Theory]
    [InlineData("""{"text": {"a": "b"}}""", "line 2: field 'text' is an object or a list ({\"a\":\"b\"})", "{text: text.MEMBER}")]
    [InlineData("""{"text": ["a", "b"]}""", "line 2: field 'text' is an object or a list (a b)", "join: ' '")]
    public void An_object_or_a_list_is_never_trained_as_a_text(string row, string what, string advice)
    {
        const string key = "text: '{text}'";
        var fault = Assert.Throws<InputException>(
            () => Notes("rows.jsonl", "{\"text\": \"fine\"}\n" + row + "\n", "pretrain", key)).Message;
        Assert.Contains(what, fault);
        Assert.Contains(advice, fault);
        Assert.Contains("stage teach trains on it as a text", fault);
        Assert.StartsWith(
            "field 'other' is not used",
            Assert.Single(Notes("other.jsonl", row.Replace("text", "other")[..^1] + ", \"text\": \"fine\"}\n", "pretrain", key)),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"q": "a", "a": "b", "label": false}""", "field 'label' is false: it says that the answer is not good")]
    [InlineData("""{"q": "a", "a": "b", "train": false}""", "field 'train' is false: it says that the row is not learned like the others")]
    [InlineData("""{"q": "a", "a": "b", "weight": 0.5}""", "field 'weight' is 0.5: it says that the row is not learned like the others")]
    public void A_flag_that_a_stage_does_not_use_is_refused(string row, string what) =>
        Assert.Contains(what, Assert.Throws<InputException>(
            () => Notes("rows.jsonl", row + "\n", "finetune", "prompt: '{q}'", "answer: '{a}'")).Message);

    [Fact]
    public void An_entry_of_a_description_is_checked_where_its_files_are_at_hand()
    {
        folder.Write("rows.json", """[{"instruction": "q", "output": "a", "url": "u"}]""");
        folder.Write("dataset_info.json", """{"here": {"file_name": "rows.json"}, "far": {"hf_hub_url": "org/set"}}""");
        Assert.Contains(
            Described("here"),
            note => note.StartsWith("column 'url' is not used (1 row", StringComparison.Ordinal));
        Assert.Empty(Described("far"));
    }

    private IReadOnlyList<string> Described(string entry)
    {
        var recipe = RecipeBuilder.Named("checked").Model($"folder: {TextFixtures.At("models", "qwen2")}")
            .Tokenizer($"folder: {TextFixtures.At("tokenizers", "qwen")}")
            .Data("d", $"files: '{folder.At("dataset_info.json")}#{entry}'", "split: {validation: 0, test: 0}")
            .Stage("teach", "finetune", "data: d", "steps: 2", "optimizer: {rate: 1e-3}")
            .With("chat", "{template: chatml}");
        return SourceCheck.Notes(SampleRecipes.Read(recipe.Text).OrThrow(), folder.Path);
    }
}
