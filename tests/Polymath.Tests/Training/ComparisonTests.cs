using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Tests.Recipes;
using Polymath.Training.Comparison;

namespace Polymath.Tests.Training;

/// <summary>The plan of a comparison: candidates, the recipes that train them, spreads.</summary>
[Trait("kind", "unit")]
public sealed class ComparisonTests
{
    private static readonly Recipe Recipe = RecipeReader.Read(Path.Combine(SampleRecipes.Folder, "deltas.yaml"), small: true, []).OrThrow();

    private static ComparisonPlan Plan(params string[] deltas) => new(Recipe, new ComparisonSpec(deltas, "spam"));

    [Fact]
    public void Every_combination_is_one_candidate_and_what_has_no_such_knob_comes_once()
    {
        var spec = new ComparisonSpec(
            ["lora", "ia3", "prefixTuning", "full"],
            "spam",
            ["1%", "8k"],
            [[Socket.Query, Socket.Value], [Socket.Down]],
            new Dictionary<string, IReadOnlyList<string>> { ["use_rslora"] = ["true", "false"] },
            Seeds: 2);
        var plan = new ComparisonPlan(Recipe, spec);
        Assert.Equal(
            [
                "lora on query+value use_rslora=true 1%", "lora on query+value use_rslora=true 8k",
                "lora on query+value use_rslora=false 1%", "lora on query+value use_rslora=false 8k",
                "lora on down use_rslora=true 1%", "lora on down use_rslora=true 8k", "lora on down use_rslora=false 1%",
                "lora on down use_rslora=false 8k",
                "ia3 on query+value", "ia3 on down", "prefixTuning 1%", "prefixTuning 8k", "full",
            ],
            plan.Candidates.Select(candidate => candidate.Name).Distinct());
        Assert.Equal(26, plan.Candidates.Count);
        Assert.Equal([Recipe.Seed, Recipe.Seed + 1], plan.Candidates.Take(2).Select(candidate => candidate.Seed));
        Assert.Equal(26, plan.Candidates.Select(candidate => candidate.Folder).Distinct().Count());
        Assert.All(plan.Candidates, candidate => Assert.Matches("^[A-Za-z0-9.-]+$", candidate.Folder));
    }

    [Fact]
    public void Presets_keep_their_settings_beside_the_swept_ones()
    {
        var plan = new ComparisonPlan(Recipe, new ComparisonSpec(
            ["dora"], "spam", Settings: new Dictionary<string, IReadOnlyList<string>> { ["r"] = ["2"] }, Rates: [1e-3, 1e-2, 1.00001e-2]));
        Assert.Equal(
            ["dora r=2 rate 0.001", "dora r=2 rate 0.01", "dora r=2 rate 0.0100001"], plan.Candidates.Select(candidate => candidate.Name));
        Assert.Equal(new Dictionary<string, string> { ["use_dora"] = "true", ["r"] = "2" }, plan.Candidates[0].Delta!.Settings);
    }

    [Fact]
    public void A_candidate_s_recipe_is_the_stage_alone_on_the_model_of_the_stages_before()
    {
        var plan = new ComparisonPlan(Recipe, new ComparisonSpec(
            ["lora"],
            "spam",
            ["1%"],
            Rates: [0.02],
            Seeds: 2));
        var recipe = plan.For(plan.Candidates[1], "/models/base");
        var stage = Assert.Single(recipe.Stages);
        Assert.Equal(("spam", 0.02, Recipe.Seed + 1), (stage.Name, stage.Optimizer.Rate, recipe.Seed));
        Assert.Equal(new PretrainedSpec("/models/base"), recipe.Model);
        Assert.Null(recipe.Tokenizer);
        Assert.Equal(["spam"], recipe.Abilities!.Keys);
        var prompt = Assert.IsType<PromptMethod>(stage.Method);
        Assert.Equal((DeltaForm.Lora, "1%", false), prompt.Train is DeltaSpec delta ? (delta.Form, delta.Budget, delta.Merge) : default);
        var before = plan.Before()!;
        Assert.Equal(["read", "poem"], before.Stages.Select(one => one.Name));
        Assert.Empty(before.Abilities!);
        Assert.Null(new ComparisonPlan(Recipe with { Stages = [Recipe.Stages[2]] }, new ComparisonSpec(["lora"])).Before());
        // Written and read again it is the same.
        Assert.Equal(recipe.ToYaml(), plan.For(plan.Candidates[1], "/models/base").ToYaml());
    }

    [Fact]
    public void LoRA_plus_is_for_the_candidates_that_have_a_B()
    {
        var plan = new ComparisonPlan(
            Recipe with
            {
                Stages = [.. Recipe.Stages.Select(stage => stage with { Optimizer = new AdamwSpec(1e-3, LoraPlusRatio: 8) })],
            },
            new ComparisonSpec(["lora", "ia3", "full"], "spam"));
        var optimizers = plan.Candidates.Select(candidate => plan.For(candidate, null).Stages[0].Optimizer).Cast<AdamwSpec>();
        Assert.Equal([8, 1, 1], optimizers.Select(optimizer => optimizer.LoraPlusRatio));
    }

    [Fact]
    public void Candidates_stand_on_a_base_held_as_the_stage_holds_it()
    {
        var held = Recipe with { Stages = [.. Recipe.Stages.Select(stage => stage.Method is PromptMethod prompt
            ? stage with { Method = prompt with { Train = ((DeltaSpec)prompt.Train!) with { Base = BasePrecision.Nf4 } } }
            : stage)] };
        var plan = new ComparisonPlan(held, new ComparisonSpec(["dora", "full"], "spam"));
        MethodSpec? Trained(int candidate) =>
            ((PromptMethod)Assert.Single(plan.For(plan.Candidates[candidate], "/models/base").Stages).Method!).Train;
        Assert.Equal(BasePrecision.Nf4, Assert.IsType<DeltaSpec>(Trained(0)).Base);
        Assert.IsType<FullMethod>(Trained(1));
    }

    [Theory]
    [InlineData("lara", "did you mean 'lora'?")]
    [InlineData("0", "There is no delta '0'")]
    public void A_name_that_is_not_known_is_refused(string delta, string said) =>
        Assert.Contains(said, Assert.Throws<InputException>(() => Plan(delta)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_stage_without_abilities_or_a_setting_out_of_its_bounds_is_refused_before_anything_is_trained()
    {
        Assert.Contains(
            "measures no ability on the stage read",
            Assert.Throws<InputException>(() => new ComparisonPlan(Recipe, new ComparisonSpec(["lora"], "read"))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "no stage 'spum'",
            Assert.Throws<InputException>(() => new ComparisonPlan(Recipe, new ComparisonSpec(["lora"], "spum"))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "'form' is not an ability of the stage spam",
            Assert.Throws<InputException>(() => new ComparisonPlan(Recipe, new ComparisonSpec(["lora"], "spam", Quality: "form"))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "None of lora has the setting 'rr'",
            Assert.Throws<InputException>(() => new ComparisonPlan(Recipe, new ComparisonSpec(
                ["lora"], "spam", Settings: new Dictionary<string, IReadOnlyList<string>> { ["rr"] = ["4"] }))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "budget is 'much'",
            Assert.Throws<InputException>(() => new ComparisonPlan(Recipe, new ComparisonSpec(["lora"], "spam", ["much"]))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_spread_over_seeds_is_the_sample_s_own()
    {
        var spread = Spread.Of([1, 2, 4]);
        Assert.Equal(7 / 3.0, spread.Mean, 12);
        Assert.Equal(Math.Sqrt(7 / 3.0), spread.Deviation!.Value, 12);
        Assert.Equal((1, 4), (spread.Least, spread.Most));
        Assert.Null(Spread.Of([3]).Deviation);
    }
}
