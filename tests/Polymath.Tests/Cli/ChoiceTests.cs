using System.Text.Json.Nodes;

namespace Polymath.Tests.Cli;

/// <summary>Abilities of the kind <c>choice</c> in a run: measured before and after, and refused where they cannot be.</summary>
[Trait("kind", "invariant")]
public sealed class ChoiceTests
{
    private const string Data = "{files: asked.jsonl, split: {validation: 0.5, test: 0}}";

    private static TinyRecipe Recipe(string abilities)
    {
        var recipe = new TinyRecipe(tiny => tiny.With("abilities", abilities).With("data.asked", Data)
            .Without("stages.please", "stages.tell")
            .With("stages.read.evaluate", "{every: 4, samples: 0}").With("stages.write.evaluate", "{samples: 0}"));
        recipe.Write("asked.jsonl", string.Concat(Enumerable.Range(0, 24).Select(i =>
            $"{{\"question\": \"say {i}\", \"choices\": [\"ama\", \"bat dok\", \"ela {i}\"], "
                + $"\"answer\": {i % 3}, \"of\": \"{i % 2}\"}}\n")));
        return recipe;
    }

    [Fact]
    public void Candidates_are_scored_before_and_after_each_stage()
    {
        const string Asks = "data: asked, question: '{question}', choices: ['{choices}'], answer: '{answer}', split: validation";
        using var recipe = Recipe($"{{sum: {{kind: choice, {Asks}}}, pmi: {{kind: choice, {Asks}, score: pmi}}, "
            + $"shots: {{kind: choice, {Asks}, score: byte, shots: 1, shotsBy: of}}, "
            + "gsm: {kind: choice, format: gsm8k, data: asked, maxNewTokens: 8}}");
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        var report = JsonNode.Parse(File.ReadAllText(recipe.At("run", "stages", "02-write", "report.json")))!["abilities"]!;
        Assert.All(new[] { "sum", "pmi", "shots", "gsm" }, name => Assert.InRange((double)report[name]!, 0, 1));
    }

    [Theory]
    [InlineData("{one: {kind: choice, data: asked, question: '{question}'}}", "'choices' is missing")]
    [InlineData("{one: {kind: choice, data: asked, format: piqa, question: '{q}'}}", "the format piqa says what this is")]
    [InlineData("{one: {kind: choice, data: nothing, format: piqa}}", "nothing")]
    [InlineData("{one: {kind: choice, data: asked, format: piqa, shots: 2}}", "taken from the questions themselves")]
    [InlineData("{one: {kind: choice, data: asked, format: piqa, shots: 2, shotsFrom: asked}}", "taken from the questions themselves")]
    [InlineData("{one: {kind: choice, data: asked, format: piqa, shotsBy: of}}", "no solved questions are asked for")]
    [InlineData("{one: {kind: choice, data: asked, format: piqa, maxNewTokens: 8}}", "nothing is written: candidates are scored")]
    [InlineData("{one: {kind: choice, data: asked, format: piqa}}", "asks for the field 'goal'")]
    [InlineData("{one: {kind: choice, data: asked, question: '{question}', choices: ['{of}', b], answer: '{answer}'}}", "which is none of")]
    [InlineData(
        "{one: {kind: choice, data: asked, question: q, choices: [a, b], answer: a, shots: 90, split: validation}}",
        "needs 90 solved questions")]
    public void What_cannot_be_asked_is_refused_before_the_first_step(string abilities, string problem)
    {
        using var recipe = Recipe(abilities);
        var run = recipe.Run("run");
        Assert.Equal(2, run.Code);
        Assert.Contains(problem, run.Error, StringComparison.Ordinal);
    }
}
