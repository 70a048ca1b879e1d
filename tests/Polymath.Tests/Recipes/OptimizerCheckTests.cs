using Polymath.Recipes;

namespace Polymath.Tests.Recipes;

/// <summary>Optimizers and schedules in recipes: what binds to what, and what is refused.</summary>
[Trait("kind", "unit")]
public sealed class OptimizerCheckTests
{
    private static readonly RecipeBuilder sample = SampleRecipes.Sample;

    private static OptimizerSpec Read(string optimizer)
    {
        var recipe = sample.With("stages.read.optimizer", optimizer).With("stages.read.schedule", "{kind: constant}");
        var reading = SampleRecipes.Read(recipe.Text);
        Assert.True(reading.Recipe is not null, string.Join('\n', reading.Faults));
        return reading.Recipe!.Stages.Single(stage => stage.Name == "read").Optimizer;
    }

    [Fact]
    public void Without_a_kind_AdamW_is_meant_and_the_kind_is_not_written_out()
    {
        Assert.Equal(new AdamwSpec(1e-3), Read("{rate: 1e-3}"));
        Assert.Equal(Read("{rate: 1e-3}"), Read("{kind: adamw, rate: 1e-3}"));
        var resolved = SampleRecipes.Read(sample.With("stages.read.optimizer", "{kind: adamw, rate: 1e-3, beta2: 0.95}").Text).Resolved;
        Assert.DoesNotContain("adamw", resolved, StringComparison.Ordinal);
    }

    [Fact]
    public void Each_kind_has_the_defaults_of_its_source()
    {
        Assert.Equal(new Adamw8bitSpec(new AdamwSpec(1e-3, WeightDecay: 0.1)), Read("{kind: adamw8bit, rate: 1e-3, weightDecay: 0.1}"));
        Assert.Equal(new AdafactorSpec(1, RelativeStep: true), Read("{kind: adafactor, rate: 1, relativeStep: true}"));
        Assert.Equal(new AdafactorSpec(1e-3, Beta1: 0.9), Read("{kind: adafactor, rate: 1e-3, beta1: 0.9}"));
        Assert.Equal(new LionSpec(1e-4), Read("{kind: lion, rate: 1e-4}"));
        Assert.Equal(
            new MuonSpec(2e-2, AdjustLrFn: MuonRate.MatchRmsAdamw), Read("{kind: muon, rate: 0.02, adjustLrFn: matchRmsAdamw}"));
        Assert.Equal(new SgdSpec(0.1, Momentum: 0.9), Read("{kind: sgd, rate: 0.1, momentum: 0.9}"));
        var muon = new MuonSpec(1);
        Assert.Equal((0.95, true, 5, 0.1), (muon.Momentum, muon.Nesterov, muon.NsSteps, muon.WeightDecay));
        Assert.Equal((0.9, 0.99), (new LionSpec(1).Beta1, new LionSpec(1).Beta2));
    }

    [Theory]
    [InlineData("{kind: lion, rate: 1e-4, beta1: 0.95, weightDecay: 1}")]
    [InlineData("{kind: muon, rate: 0.02, adamwRate: 0.001}")]
    public void What_is_resolved_reads_as_the_same(string optimizer)
    {
        var reading = SampleRecipes.Read(sample.With("stages.read.optimizer", optimizer).Text);
        Assert.Equal(reading.Resolved, SampleRecipes.Read(reading.Resolved).Resolved);
        Assert.Equal(Read(optimizer), reading.Recipe!.Stages[0].Optimizer);
    }

    [Theory]
    [InlineData("{kind: lino, rate: 1e-3}", "kind", "did you mean 'lion'")]
    [InlineData("{knd: lion, rate: 1e-3}", "knd", "did you mean 'kind'")]
    [InlineData("{kind: lion}", "rate", "add rate: NUMBER")]
    [InlineData("{kind: lion, rate: 1e-3, momentum: 0.9}", "momentum", "kind: muon' or 'kind: sgd'")]
    [InlineData("{rate: 1e-3, nsSteps: 5}", "nsSteps", "kind: muon'")]
    [InlineData("{kind: sgd, rate: 1e-3, loraPlusRatio: 2}", "loraPlusRatio", "kind: adamw' or 'kind: adamw8bit'")]
    [InlineData("{kind: muon, rate: 1e-3, nsSteps: 100}", "nsSteps", "99")]
    [InlineData("{kind: sgd, rate: 1e-3, nesterov: true}", "nesterov", "add momentum: 0.9")]
    [InlineData("{kind: adafactor, rate: 1e-3, relativeStep: true}", "rate", "write rate: 1")]
    [InlineData("{kind: adafactor, rate: 1, relativeStep: true}", "relativeStep", "kind: constant")]
    [InlineData("{kind: adafactor, rate: 1, warmupInit: true}", "warmupInit", "add relativeStep: true")]
    [InlineData("{kind: adafactor, rate: 1, epsilon2: 0.01}", "epsilon2", "add scaleParameter: true")]
    [InlineData("{kind: adafactor, rate: 1, decayRate: 0.8}", "decayRate", "-1")]
    [InlineData("{kind: adamw8bit, rate: 1e-3, loraPlusRatio: 2}", "loraPlusRatio", "leave it out")]
    public void A_wrong_optimizer_is_refused_with_a_hint(string optimizer, string at, string hint) =>
        Refused(sample.With("stages.read.optimizer", optimizer), "stages.read.optimizer." + at, hint);

    [Theory]
    [InlineData("{kind: cosine, power: 2}", "power", "write kind: polynomial")]
    [InlineData("{decaySteps: 2}", "decaySteps", "write kind: wsd")]
    [InlineData("{kind: restarts, decayShape: linear}", "decayShape", "write kind: wsd")]
    [InlineData("{kind: wsd, timescale: 5}", "timescale", "write kind: inverseSqrt")]
    [InlineData("{kind: wsd, cycles: 5}", "cycles", "write kind: restarts")]
    [InlineData("{kind: wsd, decayShare: 0.2, decaySteps: 5}", "decaySteps", "keep one of the two")]
    [InlineData("{kind: wsd, warmup: 5, decaySteps: 16}", "decaySteps", "write 15 or less")]
    [InlineData("{kind: inverseSqrt, floor: 0.1}", "floor", "leave it out")]
    [InlineData("{kind: wsd, decayShape: sqrt}", "decayShape", "oneMinusSqrt")]
    public void A_wrong_schedule_is_refused_with_a_hint(string schedule, string at, string hint) =>
        Refused(sample.With("stages.read.schedule", schedule), "stages.read.schedule." + at, hint);

    [Theory]
    [InlineData("{kind: wsd, warmup: 2, decayShare: 0.2, decayShape: oneMinusSqrt, floor: 0.1}")]
    [InlineData("{kind: inverseSqrt, warmup: 2, timescale: 100}")]
    [InlineData("{kind: polynomial, power: 2}")]
    [InlineData("{kind: restarts, cycles: 3}")]
    public void A_right_schedule_binds(string schedule) =>
        Assert.Empty(SampleRecipes.Read(sample.With("stages.read.schedule", schedule).Text).Faults);

    private static void Refused(RecipeBuilder recipe, string path, string hint)
    {
        var faults = SampleRecipes.Read(recipe.Text).Faults;
        var fault = Assert.Single(faults, fault => fault.Path == path);
        Assert.Contains(hint, fault.Hint, StringComparison.Ordinal);
    }
}
