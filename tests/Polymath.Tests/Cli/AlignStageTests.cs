using System.Text.Json.Nodes;

namespace Polymath.Tests.Cli;

/// <summary>Align stages by each kind of loss: from ranked answers, and from answers that the model samples.</summary>
[Trait("kind", "unit")]
public sealed class AlignStageTests
{
    private static TinyRecipe Ranked(string by, string shape = "preference")
    {
        var recipe = new TinyRecipe(tiny => tiny.Without("abilities").Without("rewards")
            .With("data", $"{{pairs: {{files: pairs.jsonl, shape: {shape}, split: {{validation: 0.2, test: 0}}}}}}")
            .With("stages", $"[{{name: rank, kind: align, by: {by}, data: pairs, steps: 8, optimizer: {{rate: 1e-2}}, "
                + "batch: {rows: 8}}]"));
        recipe.Write("pairs.jsonl", string.Concat(Enumerable.Range(0, 24).Select(i =>
            $$"""{"prompt": "ama {{i}}", "chosen": "ela {{i % 5}}", "rejected": "dok gup {{i % 7}}"}""" + "\n")));
        return recipe;
    }

    [Theory]
    [InlineData("{kind: dpo}")]
    [InlineData("{kind: dpo, loss: ipo, beta: 0.5}")]
    [InlineData("{kind: dpo, loss: aot, labelSmoothing: 0.1}")]
    [InlineData("{kind: dpo, divergence: jensenShannon, lengthWeight: 0.5}")]
    [InlineData("{kind: dpo, onPolicyWeights: true}")]
    [InlineData("{kind: simpo, beta: 2, gamma: 0.5}")]
    [InlineData("{kind: cpo}")]
    [InlineData("{kind: orpo}")]
    public void Ranked_answers_are_learned(string by)
    {
        using var recipe = Ranked(by);
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        var figures = Figures(recipe, "train accuracy");
        Assert.True(figures[^1] > 0.9 && figures[^1] > figures[0] - 1e-9, string.Join(' ', figures));
    }

    [Theory]
    [InlineData("kto")]
    [InlineData("apoZero")]
    [InlineData("bco")]
    public void Good_answers_gain_and_bad_ones_lose(string loss)
    {
        using var recipe = Ranked(loss == "bco" ? "{kind: bco}" : $"{{kind: kto, loss: {loss}}}", "kto");
        recipe.Write("pairs.jsonl", string.Concat(Enumerable.Range(0, 24).Select(i => i % 2 == 0
            ? $$"""{"prompt": "ama {{i}}", "completion": "ela {{i % 5}}", "label": true}""" + "\n"
            : $$"""{"prompt": "ama {{i}}", "completion": "dok gup {{i % 7}}", "label": false}""" + "\n")));
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        Assert.True(Figures(recipe, "train good reward")[^1] > Figures(recipe, "train bad reward")[^1]);
        Assert.Equal(0, recipe.Run("parts", "--stop-after-step", "5").Code);
        Assert.Equal(0, recipe.Run("parts").Code);
        Assert.Equal(recipe.Hash("run"), recipe.Hash("parts"));
    }

    [Theory]
    [InlineData("{kind: grpo, clipHigh: 0.28, klWeight: 0.01}")]
    [InlineData("{kind: grpo, loss: cispo}")]
    [InlineData("{kind: grpo, loss: gmpo, mean: rows, maskUnfinished: true}")]
    [InlineData("{kind: rloo}")]
    [InlineData("{kind: simpo}")]
    [InlineData("{kind: reinforce, baseline: true}")]
    [InlineData("{kind: rrhf}")]
    [InlineData("{kind: best, least: 0}")]
    [InlineData("{kind: ppo, klTarget: 0.1, klHorizon: 100, whitenRewards: true}")]
    [InlineData("{kind: distill, teacher: write, divergence: jensenShannon}")]
    public void Sampled_answers_are_learned_and_a_stopped_run_goes_on_with_the_same_bits(string by)
    {
        using var recipe = new TinyRecipe(tiny =>
        {
            tiny = tiny.With("stages.please.by", by).With("stages.please.rollout.temperature", "0.9");
            return by.Contains("distill", StringComparison.Ordinal) ? tiny.Without("stages.please.rewards") : tiny;
        });
        var whole = recipe.Run("whole");
        Assert.True(whole.Code == 0, whole.All);
        Assert.Matches("round 1, answers|round 1, pairs|round 1, prompts", whole.All);
        var first = File.ReadLines(recipe.At("whole", "stages", "04-please", "rollouts", "round-001.jsonl")).First();
        var answer = JsonNode.Parse(first)!;
        if (answer["score"] is { } score) Assert.Equal(score.GetValue<double>(), answer["rewards"]!["plain"]!.GetValue<double>(), 1e-9);
        // Stopped inside the second round.
        Assert.Equal(0, recipe.Run("parts", "--stop-after-step", "25").Code);
        Assert.Equal(0, recipe.Run("parts").Code);
        Assert.Equal(recipe.Hash("whole"), recipe.Hash("parts"));
    }

    [Fact]
    public void A_third_answer_is_learned_beside_each_pair()
    {
        using var recipe = Ranked("{kind: tpo, beta: 0.5}");
        recipe.Write("pairs.jsonl", string.Concat(Enumerable.Range(0, 24).Select(i =>
            $$"""{"prompt": "ama {{i}}", "chosen": "ela {{i % 5}}", "rejected": "dok gup {{i % 7}}", "reference": "ilu ona"}""" + "\n")));
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        Assert.True(Figures(recipe, "train accuracy")[^1] > 0.9);
        var gold = Figures(recipe, "train gold loss");
        Assert.True(gold[^1] < 0.7 * gold[0], string.Join(' ', gold));
        recipe.Write("pairs.jsonl", """{"prompt": "ama", "chosen": "ela", "rejected": "dok"}""" + "\n");
        var refused = recipe.Run("none");
        Assert.Equal(2, refused.Code);
        Assert.Contains("has no third answer in the column 'reference'", refused.Error);
    }

    [Theory]
    [InlineData("{kind: tpo, gamma: 1}", "the loss Sigmoid has no margin")]
    [InlineData("{kind: tpo, loss: ipo, labelSmoothing: 0.1}", "the loss Ipo has no label smoothing")]
    public void A_setting_of_another_loss_is_refused(string by, string part)
    {
        using var recipe = Ranked(by);
        var refused = CliProgram.Run(recipe.Path, "check", "tiny.yaml");
        Assert.Equal(2, refused.Code);
        Assert.Contains(part, refused.Error);
    }

    [Fact]
    public void What_is_not_learned_probes_the_answers_and_the_page_shows_the_rounds()
    {
        using var recipe = new TinyRecipe(tiny => tiny
            .With("rewards.varied", "{kind: repetition, n: 2}").With("stages.please.probes", "[varied]"));
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        Assert.Equal(2, Figures(recipe, "rollout probe varied").Count);
        var speeds = File.ReadLines(recipe.At("run", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Where(line => line["name"]!.ToString() == "rollout answer tokens").ToList();
        Assert.All(speeds, line => Assert.True(line["tokensPerSecond"]!.GetValue<double>() > 0));
        var page = File.ReadAllText(recipe.At("run", "report.html"));
        Assert.Contains("Flight recorder of sampling", page);
        Assert.Matches("please, round 2</h3>[\\s\\S]*best: [0-9.]+[\\s\\S]*worst: [0-9.]+", page);
        Assert.Contains("sampling, tokens/s", page);
        var best = JsonNode.Parse(File.ReadAllText(recipe.At("run", "report.json")))!["rounds"]!["please"]![0]!["best"]!;
        Assert.Equal(best["score"]!.GetValue<double>(), best["rewards"]!["plain"]!.GetValue<double>(), 1e-9);
    }

    [Theory]
    [InlineData("stages.please.probes=[plain]", "'plain' is learned, so it probes nothing")]
    [InlineData("stages.please.by={kind: tpo}", "learns from rows with a third answer")]
    [InlineData("stages.please.by={kind: dpo, loss: robust}", "needs a labelSmoothing between 0 and 0.5")]
    [InlineData("stages.please.by={kind: dpo, loss: hinge, labelSmoothing: 0.1}", "has no label smoothing")]
    [InlineData("stages.please.by={kind: dpo, loss: apoZero, divergence: forwardKl}", "uses plain log-ratios")]
    [InlineData("stages.please.by={kind: kto}", "kto learns from rows that say which answers are good")]
    [InlineData("stages.please.by={kind: grop}", "did you mean 'grpo'?")]
    [InlineData("stages.please={name: please, kind: align, data: lines, steps: 6, optimizer: {rate: 1e-3}, by: {kind: grpo}}", "rollout")]
    [InlineData(
        "stages.please={name: please, kind: align, data: lines, steps: 6, optimizer: {rate: 1e-3}, prompt: 'say {name}'}",
        "'prompt' has no meaning without rollout")]
    public void What_does_not_fit_is_refused_by_name(string set, string part)
    {
        using var recipe = new TinyRecipe();
        var refused = CliProgram.Run(recipe.Path, "check", "tiny.yaml", "--set", set);
        Assert.Equal(2, refused.Code);
        Assert.Contains(part, refused.Error);
    }

    private static List<double> Figures(TinyRecipe recipe, string name) =>
    [
        .. File.ReadLines(recipe.At("run", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Where(line => line["name"]!.ToString() == name).Select(line => line["value"]!.GetValue<double>()),
    ];
}
