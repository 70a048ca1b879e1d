using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>Task stages that ask by a prompt, for each way of reading; their previews, and what they refuse.</summary>
[Trait("kind", "invariant")]
public sealed class PromptStageTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public PromptStageTests() => folder.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 40).Select(i =>
        $"{{\"text\": \"a b {i % 5}\", \"kind\": \"{(i % 2 == 0 ? "soft" : "hard")}\"}}\n")));

    public void Dispose() => folder.Dispose();

    private string Recipe(string family, string prompt, string template, string verbalizer = "words: {soft: soft, hard: hard}")
    {
        folder.Write("one.yaml", RecipeBuilder.Named("one").Model($"folder: \"{PromptModels.Save(folder, family)}\"")
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
    [InlineData("bert-mlm", "{text} it was {mask}.", "kind: oneToOne, words: {soft: mild}, calibrate: {kind: domain, text: 'it {mask}'}")]
    [InlineData("t5", "{text} it was {mask}.", "words: {soft: [mild, soft]}, calibrate: {kind: pmi}")]
    [InlineData("gpt2", "{text} it was {mask}", "kind: texts, texts: {soft: [it was soft, mild]}")]
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
        folder.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 8).Select(i =>
            $"{{\"text\": \"a {i % 5}\", \"kind\": \"{(i % 2 == 0 ? "soft" : "hard")}\"}}\n")));
        var several = Recipe(
            "bert-mlm",
            ", demonstrations: {like: bm25}",
            "{soft:'it'} {text} was {mask}",
            "kind: knowledge, words: {soft: [soft, mild], hard: hard}, relevance: false, leastShare: 0");
        var learned = Run("prompt", "preview", several, "--stage", "one");
        Assert.True(learned.Code == 0, learned.All);
        Assert.Contains("\nsoft     {soft 1: it}\n", learned.Out, StringComparison.Ordinal);
        Assert.Contains("\nshown    {soft} a", learned.Out, StringComparison.Ordinal);
        Assert.Contains("label 'soft': soft = soft, mild = mild", learned.Out, StringComparison.Ordinal);
        Assert.Contains(
            "--prompt is 2, but stage one asks 1 prompts",
            Run("prompt", "preview", several, "--stage", "one", "--prompt", "2").Error,
            StringComparison.Ordinal);
        Assert.Contains("no such stage", Run("prompt", "preview", "one.yaml", "--stage", "two").Error);
    }

    [Fact]
    public void Classify_says_which_prompt_speaks_most_for_the_label_and_by_which_words()
    {
        folder.Write("two.yaml", RecipeBuilder.Named("two").Model($"folder: \"{PromptModels.Save(folder, "bert-mlm")}\"")
            .Data("rows", "files: rows.jsonl")
            .Stage(
                "two",
                "task",
                "label: kind",
                "data: rows",
                "steps: 1",
                "optimizer: {rate: 1e-2}",
                "evaluate: {samples: 0}",
                "method: {kind: prompt, prompts: ['{text} it was {mask}', '{mask}: {text}'], verbalizer: {words: {soft: [soft, mild]}}}")
            .Text);
        var ran = Run("run", "two.yaml", "--run-dir", "run");
        Assert.True(ran.Code == 0, ran.All);
        var answered = Run("classify", "run", "--stage", "two", "--text", "a b 1", "--json", "--why");
        Assert.Equal((0, ""), (answered.Code, answered.Error));
        var answer = JsonNode.Parse(answered.Out)!["classified"]!;
        var label = (string)answer["label"]!;
        var reasons = answer["why"]!.AsArray().Select(reason => reason!).ToList();
        double Of(JsonNode node) => (double)node["probabilities"]![label]!;
        // The mean of the prompts' probabilities is the task's.
        Assert.Equal(Of(answer), reasons.Average(Of), 1e-5);
        Assert.True(Of(reasons[0]) >= Of(reasons[1]));
        Assert.All(reasons, reason => Assert.Equal(0.5, (double)reason["share"]!, 1e-6));
        // Of one prompt, the label's words have its probability where labels have one word; else less than all.
        Assert.All(reasons, reason => Assert.InRange(reason["words"]!.AsObject().Sum(word => (double)word.Value!), 0, 1));
        var told = Run("classify", "run", "--stage", "two", "--text", "a b 1", "--why");
        Assert.Contains($", share 0.50: {(string)reasons[0]["template"]!}", told.Out, StringComparison.Ordinal);
        Assert.Contains("--format csv has no columns for reasons", Run(
            "classify", "run", "--stage", "two", "--input", "rows.jsonl", "--format", "csv", "--why").Error, StringComparison.Ordinal);
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
    [InlineData("bert-mlm", "{text} {mask}", "kind: texts", "a bert reads one token at a mask and writes no texts")]
    [InlineData("bert-mlm", "{text} {mask} {mask}", "kind: rules, words: {soft: [it, a], hard: [it, a]}", "'soft' have the same words")]
    [InlineData("bert-mlm", "{text} {mask} {mask}", "kind: rules, words: {soft: [it, a], hard: [was]}", "the label 'hard' has 1 words")]
    [InlineData("bert-mlm", "{text} {mask}", "kind: rules, words: {soft: [it, a], hard: [it, b]}", "has 1 {mask}, and each label has 2")]
    [InlineData("bert-mlm", "{text} {mask} {mask}", "kind: rules, words: {soft: [it, a]}", "has no words for the label 'hard'")]
    [InlineData("gpt2", "{text} {mask} {mask}", "kind: rules, words: {soft: [it, a], hard: [it, b]}", "text follows {mask}")]
    [InlineData("bert-mlm", "{text} {mask}", "kind: knowledge", "there is no knowledge")]
    [InlineData("bert-mlm", "{text} {mask}", "kind: knowledge, words: {soft: Ω}", "has no word of at most 1 tokens that is in")]
    [InlineData("bert-mlm", "{text} {mask}", "calibrate: {kind: domain, text: '{text} {mask}'}", "asks for the field 'text'")]
    [InlineData("bert-mlm", "{text} {mask}", "contentFree: it, calibrate: {kind: pmi}", "are both given")]
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
