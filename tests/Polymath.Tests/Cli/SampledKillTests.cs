namespace Polymath.Tests.Cli;

/// <summary>Runs that are killed while they sample, score or learn answers go on with the same bits, rollouts included.</summary>
[Trait("kind", "invariant")]
public sealed class SampledKillTests
{
    [Theory]
    [InlineData("{kind: grpo, klWeight: 0.02}", 3)]
    [InlineData("{kind: ppo, klTarget: 0.1, klHorizon: 100}", 8)]
    public void A_run_killed_inside_a_round_ends_with_the_same_bits(string by, int seed)
    {
        using var recipe = new TinyRecipe(tiny => tiny.Without("abilities").With("stages", "[{name: write, kind: finetune, "
            + "prompt: \"say {name}\", answer: \"{text}\", data: lines, steps: 4, optimizer: {rate: 1e-2}, batch: {tokens: 300}},"
            + $"{{name: please, kind: align, by: {by}, prompt: \"say {{name}}\", data: lines, rewards: {{plain: 1}}, "
            + "rollout: {rounds: 4, prompts: 10, answers: 6, maxNewTokens: 12}, steps: 24, optimizer: {rate: 2e-3}, "
            + "batch: {tokens: 200}, checkpoint: {every: 2}}]"));
        var whole = recipe.Run("whole");
        Assert.True(whole.Code == 0, whole.All);
        var random = new Random(seed);
        bool ended;
        var kills = 0;
        do
        {
            using var process = CliProgram.Start(recipe.Path, "run", "tiny.yaml", "--run-dir", "killed");
            ended = process.WaitForExit(1200 + random.Next(1500));
            if (ended) Assert.Equal(0, CliProgram.End(process).Code);
            else
            {
                CliProgram.Signal(process, CliProgram.Kill);
                process.WaitForExit();
                kills++;
            }
        }
        while (!ended && kills < 6);
        if (!ended)
        {
            var last = recipe.Run("killed");
            Assert.True(last.Code == 0, last.All);
        }
        Assert.Equal(recipe.Hash("whole"), recipe.Hash("killed"));
        Assert.Equal(Rounds(recipe, "whole"), Rounds(recipe, "killed"));
        Assert.Equal(RunFigures.Of(recipe.At("whole", "metrics.jsonl")), RunFigures.Of(recipe.At("killed", "metrics.jsonl")));
    }

    private static List<string> Rounds(TinyRecipe recipe, string run) =>
        [.. Directory.GetFiles(recipe.At(run, "stages", "02-please", "rollouts")).Order(StringComparer.Ordinal).SelectMany(File.ReadLines)];
}
