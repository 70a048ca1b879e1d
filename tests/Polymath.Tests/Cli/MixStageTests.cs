using System.Text.Json.Nodes;

namespace Polymath.Tests.Cli;

/// <summary>Stages that learn several things in each step.</summary>
[Trait("kind", "unit")]
public sealed class MixStageTests
{
    private const string Terms = "[{name: read, kind: pretrain, text: '{text}', data: lines, weight: 0.5, batch: {tokens: 200}}, "
        + "{name: tell, kind: finetune, prompt: 'say {name}', answer: '{text}', data: lines, weight: {from: 1, to: 0.5}, "
        + "batch: {rows: 4}}, "
        + "{name: rank, kind: align, by: {kind: simpo}, data: pairs, batch: {rows: 4}}]";

    private static TinyRecipe Mixed(string more = "")
    {
        var recipe = new TinyRecipe(tiny => tiny.Without("abilities").Without("rewards")
            .With("data.pairs", "{files: pairs.jsonl, shape: preference, split: {validation: 0.2, test: 0}}")
            .With("stages", $"[{{name: all, kind: mix, terms: {Terms}, steps: 12, optimizer: {{rate: 1e-2}}{more}}}]"));
        recipe.Write("pairs.jsonl", string.Concat(Enumerable.Range(0, 24).Select(i =>
            $$"""{"prompt": "ama {{i}}", "chosen": "ela {{i % 5}}", "rejected": "dok gup {{i % 7}}"}""" + "\n")));
        return recipe;
    }

    private static List<double> Figures(TinyRecipe recipe, string name) =>
    [
        .. File.ReadLines(recipe.At("run", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Where(line => line["name"]!.ToString() == name).Select(line => line["value"]!.GetValue<double>()),
    ];

    [Fact]
    public void All_terms_are_learned_and_a_stopped_run_goes_on_with_the_same_bits()
    {
        using var recipe = Mixed();
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        foreach (var term in new[] { "read", "tell", "rank" })
        {
            var losses = Figures(recipe, $"train {term} loss");
            Assert.Equal(12, losses.Count);
            Assert.True(losses[^1] < losses[0], $"{term}: {string.Join(' ', losses)}");
            Assert.All(Figures(recipe, $"train {term} gradient"), norm => Assert.True(norm > 0));
        }
        Assert.Equal((1, 0.5), (Figures(recipe, "train tell weight")[0], Figures(recipe, "train tell weight")[^1]));
        Assert.All(Figures(recipe, "train cosine read rank"), cosine => Assert.InRange(cosine, -1, 1));
        Assert.NotEmpty(Figures(recipe, "rank heldOutLoss"));
        Assert.Equal(0, recipe.Run("parts", "--stop-after-step", "5").Code);
        Assert.Equal(0, recipe.Run("parts").Code);
        Assert.Equal(recipe.Hash("run"), recipe.Hash("parts"));
    }

    [Fact]
    public void Balanced_terms_have_weights_of_their_own_in_each_step()
    {
        using var recipe = Mixed();
        var run = recipe.Run("run", "--set", "stages.all.balance=gradients", "--set", "stages.all.steps=3");
        Assert.True(run.Code == 0, run.All);
        double Pull(string term, int step) =>
            Figures(recipe, $"train {term} weight")[step] * Figures(recipe, $"train {term} gradient")[step];
        Assert.Equal(2, Pull("tell", 0) / Pull("read", 0), 1e-6);
        Assert.Equal(1, Pull("tell", 2) / Pull("read", 2), 1e-6);
    }

    [Theory]
    [InlineData("stages.all.data=lines", "each term of a mix names its own data")]
    [InlineData("stages.all.terms=[]", "there are no terms")]
    [InlineData("stages.all.terms=[{name: a, kind: pretrain, data: lines}, {name: a, kind: pretrain, data: lines}]", "is named 'a' too")]
    [InlineData("stages.all.terms=[{name: a, kind: mix, terms: [], data: lines}]", "a mix is made of single things")]
    [InlineData("stages.all.terms=[{name: a, kind: task, label: name, data: lines}]", "asked for in words")]
    [InlineData("stages.all.terms=[{name: a, kind: task, label: name, data: lines}, {name: b, kind: task, label: name, data: lines}]",
        "a mix has one task, which is saved with its model")]
    [InlineData("stages.all.terms=[{name: a, kind: pretrain, data: lnies}]", "lnies")]
    [InlineData(
        "stages.all={name: all, kind: mix, terms: [{name: a, kind: pretrain, data: lines}], epochs: 2, optimizer: {rate: 1e-3}}",
        "counted in steps")]
    [InlineData("stages.all={name: all, kind: pretrain, steps: 3, optimizer: {rate: 1e-3}}", "'data' is missing")]
    public void What_does_not_fit_is_refused_by_name(string set, string part)
    {
        using var recipe = Mixed();
        var refused = CliProgram.Run(recipe.Path, "check", "tiny.yaml", "--set", set);
        Assert.Equal(2, refused.Code);
        Assert.Contains(part, refused.Error);
    }
}
