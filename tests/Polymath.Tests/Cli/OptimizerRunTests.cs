namespace Polymath.Tests.Cli;

/// <summary>A run whose stages move by different optimizers and schedules.</summary>
[Trait("kind", "invariant")]
public sealed class OptimizerRunTests : IDisposable
{
    private readonly TinyRecipe recipe = new(tiny => tiny
        .With("stages.read.optimizer", "{kind: muon, rate: 0.02, adamwRate: 0.01}")
        .With("stages.read.schedule", "{kind: wsd, warmup: 2, decaySteps: 3, decayShape: oneMinusSqrt}")
        .With("stages.write.optimizer", "{kind: lion, rate: 1e-3}")
        .With("stages.write.schedule", "{kind: inverseSqrt, warmup: 2}")
        .With("stages.tell.optimizer", "{kind: adamw8bit, rate: 1e-2, loraPlusRatio: 2}")
        .With("stages.tell.schedule", "{kind: restarts, cycles: 2}")
        .With("stages.please.optimizer", "{kind: adafactor, rate: 1e-3}")
        .With("stages.please.schedule", "{kind: polynomial, power: 2}"));

    public void Dispose() => recipe.Dispose();

    [Fact]
    public void A_stopped_run_goes_on_to_the_same_end_whatever_the_optimizer()
    {
        var whole = recipe.Run("whole");
        Assert.True(whole.Code == 0, whole.All);
        foreach (var step in new[] { 5, 12, 18, 25 }) Assert.Equal(0, recipe.Run("stopped", "--stop-after-step", $"{step}").Code);
        Assert.Equal(0, recipe.Run("stopped").Code);
        Assert.Equal(recipe.Hash("whole"), recipe.Hash("stopped"));
        Assert.Equal(RunFigures.Of(recipe.At("whole", "metrics.jsonl")), RunFigures.Of(recipe.At("stopped", "metrics.jsonl")));
    }
}
