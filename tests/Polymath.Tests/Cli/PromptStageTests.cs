using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Tests.Cli;

/// <summary>Task stages that ask by a prompt, for each way of reading; their previews, and what they refuse.</summary>
[Trait("kind", "invariant")]
public sealed class PromptStageTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public PromptStageTests() => folder.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 40).Select(i =>
        $"{{\"text\": \"a b {i % 5}\", \"kind\": \"{(i % 2 == 0 ? "soft" : "hard")}\"}}\n")));

    public void Dispose() => folder.Dispose();

    // A small model of a family with a tokenizer that has the tokens its prompts need.
    private string Model(string family)
    {
        var place = folder.At(family);
        Directory.CreateDirectory(place);
        foreach (var file in Directory.GetFiles(TextFixtures.At("models", family)))
            File.Copy(file, Path.Combine(place, Path.GetFileName(file)), overwrite: true);
        WordPieceTrainer.Train(
            ["a b it was soft hard today . 0 1 2 3 4"], 90, 0, ["[UNK]", "[MASK]", "<extra_id_0>", .. ChatTemplate.Specials]).Save(place);
        return place;
    }

    private string Recipe(string family, string prompt, string template, string verbalizer = "words: {soft: soft, hard: hard}")
    {
        folder.Write("one.yaml", RecipeBuilder.Named("one").Model($"folder: \"{Model(family)}\"")
            .Data("rows", "files: rows.jsonl", "split: {validation: 0.2}")
            .With("abilities", "{kinds: {kind: accuracy, stage: one, rows: 8}}")
            .Stage(
                "one",
                "task",
                "label: kind",
                "data: rows",
                "steps: 2",
                "optimizer: {rate: 1e-2}",
                "batch: {tokens: 64, maxLength: 24}",
                "evaluate: {samples: 0}",
                $"method: {{kind: prompt, template: \"{template}\", verbalizer: {{{verbalizer}}}{prompt}}}").Text);
        return "one.yaml";
    }

    private CliResult Run(params string[] arguments) => CliProgram.Run(folder.Path, arguments);

    [Theory]
    [InlineData("bert-mlm", "it was {mask} today. {text|lower}", "words: {soft: soft, hard: hard}")]
    [InlineData("bert-mlm", "{text} it was {mask}.", "words: {soft: [soft, a], hard: [hard, b]}, read: mean, contentFree: [it, was]")]
    [InlineData("t5", "it was {mask} today. {text}", "words: {soft: soft, hard: hard}, contentFree: it")]
    [InlineData("gpt2", "{text} it was {mask}", "words: {soft: soft, hard: hard}, read: max, contentFree: it")]
    public void Each_way_of_reading_is_asked_trained_measured_and_classifies(string family, string template, string verbalizer)
    {
        var ran = Run("run", Recipe(family, ", cut: head", template, verbalizer), "--run-dir", "run");
        Assert.True(ran.Code == 0, ran.All);
        var task = JsonNode.Parse(File.ReadAllText(folder.At("run", "stages", "01-one", "model", "task.json")))!;
        Assert.Equal(("Head", template), ((string?)task["prompts"]![0]!["cut"], (string?)task["prompts"]![0]!["template"]));
        var measured = JsonNode.Parse(File.ReadAllText(folder.At("run", "stages", "01-one", "report.json")))!["abilities"]!;
        Assert.InRange((double)measured["kinds"]!, 0, 1);
        var answered = Run("classify", "run", "--stage", "one", "--text", "a b 1", "--json");
        Assert.Equal((0, ""), (answered.Code, answered.Error));
        var labels = JsonNode.Parse(answered.Out)!["classified"]!["probabilities"]!.AsObject();
        Assert.Equal(1, labels.Sum(pair => (double)pair.Value!), 1e-5);
    }

    [Fact]
    public void A_preview_shows_what_is_written_filled_cut_and_answered()
    {
        folder.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 40).Select(i =>
            $"{{\"text\": \"{string.Concat(Enumerable.Repeat("a ", 30))}{i % 5}\", \"kind\": \"{(i % 2 == 0 ? "soft" : "hard")}\"}}\n")));
        var recipe = Recipe("bert-mlm", "", "it was {mask} today. {text}");
        var shown = Run("prompt", "preview", recipe, "--stage", "one", "--row", "2", "--json");
        Assert.True(shown.Code == 0, shown.All);
        var preview = JsonNode.Parse(shown.Out)!;
        Assert.Equal((24, 24), ((int)preview["length"]!, (int)preview["most"]!));
        string Kind(int i) => (string)preview["tokens"]![i]!["kind"]!;
        Assert.Equal(("written", "answer", "filled"), (Kind(0), Kind(2), Kind(5)));
        Assert.Equal("[MASK]", (string?)preview["tokens"]![2]!["token"]);
        Assert.Equal(12, preview["tokens"]!.AsArray().Count(token => (string)token!["kind"]! == "cut"));
        var plain = Run("prompt", "preview", "one.yaml", "--stage", "one");
        Assert.Contains("\nanswer   [MASK]\n", plain.Out, StringComparison.Ordinal);
        Assert.Contains("label 'soft': soft = ", plain.Out, StringComparison.Ordinal);
        Assert.Contains("training rows. Write 1 to", Run("prompt", "preview", "one.yaml", "--stage", "one", "--row", "99").Error);
        Assert.Contains("no such stage", Run("prompt", "preview", "one.yaml", "--stage", "two").Error);
    }

    [Theory]
    [InlineData("gpt2", "{text} {mask} is it", "words: {soft: soft, hard: hard}", "at character 14: text follows {mask}, but a gpt2 reads")]
    [InlineData("bert-mlm", "{text} it was", "words: {soft: soft, hard: hard}", "the template has no {mask}")]
    [InlineData("bert-mlm", "{text|lowr} {mask}", "words: {soft: soft, hard: hard}", "at character 7: there is no filter 'lowr'")]
    [InlineData("bert-mlm", "{txt} {mask}", "words: {soft: soft, hard: hard}", "has no field 'txt'")]
    [InlineData("bert-mlm", "{soft:0} {text} {mask}", "words: {soft: soft, hard: hard}", "behind soft: stands how many")]
    [InlineData("bert-mlm", "{soft|one} {text} {mask}", "words: {soft: soft, hard: hard}", "at character 7: 'one' is nothing of a soft")]
    [InlineData("bert-mlm", "{text} {mask}", "words: {soft: [], hard: hard}", "the label 'soft' has no word")]
    [InlineData("bert-mlm", "{text} {mask}", "words: {soft: Ω, hard: hard}", "'Ω' of the label 'soft' is not in the vocabulary")]
    [InlineData("bert-mlm", "{text} {mask}", "words: {soft: hard, hard: hard}", "begin with the same token")]
    [InlineData("bert-mlm", "{text} {mask}", "words: {soft: hard, hard: hard}, read: mean", "have the same word, 'hard'")]
    [InlineData(
        "bert-mlm",
        "it was it was it was it was it was it was it was it was it was it was it was it was {text} {mask}",
        "words: {soft: soft, hard: hard}",
        "tokens too long for a row of 24")]
    public void What_cannot_be_asked_is_refused_before_the_first_step(string family, string template, string verbalizer, string problem)
    {
        var ran = Run("run", Recipe(family, "", template, verbalizer), "--run-dir", "run");
        Assert.Equal(2, ran.Code);
        Assert.Contains(problem, ran.Error, StringComparison.Ordinal);
    }
}
