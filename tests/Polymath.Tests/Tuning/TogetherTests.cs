using Polymath.Models.Families;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using Polymath.Training.Stages;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>Several adapters of a stage: stacked, routed, mixed, combined, trained further.</summary>
[Trait("kind", "invariant")]
public sealed class TogetherTests : IDisposable
{
    private static readonly int[] Probe = [3, 4, 5, 6, 7];
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private AdapterPlaces Places => new(folder.Path, stage => folder.At("stages", stage), folder.At("prepared"));

    private static AdapterSpec Lora(string? data = null, OptimizerSpec? optimizer = null, bool frozen = false, int rank = 2) =>
        new(
            new DeltaSpec(DeltaForm.Lora, Settings: new Dictionary<string, string> { ["r"] = $"{rank}" }),
            Data: data is null ? null : [data],
            Optimizer: optimizer,
            Frozen: frozen);

    private static AdaptersMethod Method(Together together, params (string Name, AdapterSpec Spec)[] adapters) =>
        new(adapters.ToDictionary(pair => pair.Name, pair => pair.Spec), together);

    // Rows of two sources alternate, so that a step of both has the rows of a step of each alone.
    private static List<Item> Items(params string[] sources) => [.. Enumerable.Range(0, 8)
        .SelectMany(i => sources.Select(
            (source, s) => new Item([Toy.Row(10, (i * 2) + (source == "b" ? 1 : 0), half: source == "b") with { Data = source }])))];

    private AdapterTraining Start(
        AdaptersMethod method,
        IReadOnlyList<Item> items,
        int tokens,
        int? microTokens = null,
        int from = 0,
        Objective? objective = null) => new(
            method,
            Places,
            items,
            tokens,
            microTokens,
            from,
            objective ?? new NextToken());

    private static void Same(Dictionary<string, float[]> wanted, Dictionary<string, float[]> found, double within = 0)
    {
        Assert.Equal(wanted.Keys.Order(), found.Keys.Order());
        Assert.All(wanted, pair => Assert.True(
            Samples.Gap(pair.Value, found[pair.Key]) <= within,
            $"{pair.Key} is off by {Samples.Gap(pair.Value, found[pair.Key])}"));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(10)]
    public void Adapters_routed_in_one_step_move_as_each_would_alone(int? microTokens)
    {
        var slow = new AdamwSpec(2e-3, Beta1: 0.8, Epsilon: 1e-6, Clip: 0.05);
        using var both =
            Start(Method(Together.Route, ("one", Lora("a")), ("two", Lora("b", slow))), Items("a", "b"), 40, microTokens).Steps(3);
        using var first = Start(Method(Together.Route, ("one", Lora("a"))), Items("a"), 20).Steps(3);
        using var second = Start(Method(Together.Route, ("two", Lora("b", slow))), Items("b"), 20).Steps(3);
        Same(first.Values(""), both.Values("one"), 2e-5);
        Same(second.Values(""), both.Values("two"), 2e-5);
    }

    [Fact]
    public void Pairs_go_to_the_adapter_of_their_data_with_both_their_rows()
    {
        List<Item> Pairs(params string[] sources) => [.. Items(sources).Select(
            (item, i) => new PairItem(
                [item.Rows[0], Toy.Row(10, 100 + i, half: true) with { Data = item.Rows[0].Data }],
                [-20f - i, -22f]))];
        var mixed = Pairs("a", "b");
        using var both = Start(
            Method(Together.Route, ("one", Lora("a")), ("two", Lora("b"))), mixed, 80, objective: Toy.Dpo(0.3, 0.5)).Steps(2);
        foreach (var (name, data) in new[] { ("one", "a"), ("two", "b") })
        {
            using var alone = Start(
                Method(Together.Route, (name, Lora(data))),
                [.. mixed.Where(item => item.Rows[0].Data == data)],
                40,
                objective: Toy.Dpo(0.3, 0.5)).Steps(2);
            Same(alone.Values(""), both.Values(name), 2e-5);
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData(10)]
    public void Rows_of_no_adapter_s_data_are_the_base_s_and_teach_nothing(int? microTokens)
    {
        using var training = Start(Method(Together.Route, ("one", Lora("a"))), Items("a", "c"), 40, microTokens).Steps(2);
        using var alone = Start(Method(Together.Route, ("one", Lora("a"))), Items("a"), 20).Steps(2);
        Same(alone.Values(""), training.Values(""), 2e-5);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        float[] Losses(Llama model, params Polymath.Text.Packing.TokenRow[] rows)
        {
            using var batch = model.Lay(rows);
            return Samples.Floats(model.LogProbabilities(batch));
        }
        using var bare = Toy.Model();
        var (own, foreign) = (Toy.Row(10) with { Data = "a" }, Toy.Row(10) with { Data = "c" });
        var together = Losses(training.Model, own, foreign, Toy.Row(10));
        var plain = Losses(bare, foreign);
        Assert.True(Samples.Gap(plain, together.AsSpan(9, 9)) < 1e-5 && Samples.Gap(plain, together.AsSpan(18, 9)) < 1e-5);
        Assert.True(Samples.Gap(plain, together.AsSpan(0, 9)) > 1e-4);
    }

    [Fact]
    public void An_adapter_without_rows_in_a_step_stays_where_it_is()
    {
        using var training = Start(Method(Together.Route, ("one", Lora("a")), ("two", Lora("b"))), Items("a"), 20);
        var before = training.Values("two");
        training.Steps(2);
        Same(before, training.Values("two"));
        Assert.NotEqual(
            before["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"],
            training.Values("one")["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"]);
    }

    [Fact]
    public void Stacked_adapters_add_up_and_come_back_from_their_folders()
    {
        using var training = Start(
            Method(Together.Stack, ("one", Lora()), ("two", Lora(rank: 3)), ("still", Lora(frozen: true))), Items("a"), 20);
        var still = training.Model.Projections.SelectMany(map => map.Deltas)
            .Select(delta => Samples.Floats(delta.Weights[0].Value)).ElementAt(2);
        training.Steps(3);
        Assert.Equal(
            still,
            training.Model.Projections.SelectMany(map => map.Deltas).Select(delta => Samples.Floats(delta.Weights[0].Value)).ElementAt(2));
        var trained = Toy.Logits(training.Model, Probe);
        training.Finish(folder.At("stack"));
        using var model = Toy.Model();
        var bare = Toy.Logits(model, Probe);
        using (AttachedAdapters.Load(model, folder.At("stack", "adapter")))
            Assert.True(Samples.Gap(trained, Toy.Logits(model, Probe)) < 1e-5);
        Assert.Equal(bare, Toy.Logits(model, Probe));
        // Merged one after the other they are the same sum.
        foreach (var name in new[] { "one", "two", "still" })
            DeltaSet.Load(model, folder.At("stack", "adapter", name), anyBase: true).Merge();
        Assert.True(Samples.Gap(trained, Toy.Logits(model, Probe)) < 1e-4);
    }

    [Fact]
    public void Adapters_that_move_the_same_weights_of_the_model_are_set_aside_and_come_back()
    {
        var norms = new AdapterSpec(new DeltaSpec(DeltaForm.NormTuning));
        using (var apart = Start(Method(Together.Stack, ("one", norms)), Items("a"), 20).Steps(3)) apart.Finish(folder.At("apart"));
        using var training = Start(
            Method(Together.Stack, ("one", new AdapterSpec(Folder: folder.At("apart", "adapter"), Frozen: true)), ("two", norms)),
            Items("a"),
            20).Steps(3);
        using var bare = Toy.Model();
        var trained = Toy.Logits(training.Model, Probe);
        Assert.NotEqual(Toy.Logits(bare, Probe), trained);
        using (training.Method.Aside()) Assert.Equal(Toy.Logits(bare, Probe), Toy.Logits(training.Model, Probe));
        Assert.Equal(trained, Toy.Logits(training.Model, Probe));
    }

    [Fact]
    public void Two_adapters_do_not_train_the_same_weight_and_DoRA_does_not_merge_in_a_stack()
    {
        var norms = new AdapterSpec(new DeltaSpec(DeltaForm.NormTuning));
        Assert.Contains(
            "only one of them can train it",
            Assert.Throws<InputException>(() => Start(Method(Together.Stack, ("one", norms), ("two", norms)), Items("a"), 20)).Message,
            StringComparison.Ordinal);
        var dora = new AdapterSpec(new DeltaSpec(DeltaForm.Lora, Settings: new Dictionary<string, string> { ["use_dora"] = "true" }));
        Assert.Contains(
            "DoRA scales the rows",
            Assert.Throws<InputException>(
                () => Start(Method(Together.Stack, ("one", Lora()), ("two", dora)) with { Merge = true }, Items("a"), 20)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_fresh_mixture_gives_each_adapter_the_same_say_and_its_gates_learn()
    {
        using (var apart = Start(Method(Together.Stack, ("one", Lora()), ("two", Lora(rank: 3))), Items("a"), 20).Steps(3))
            apart.Finish(folder.At("apart"));
        AdapterSpec Kept(string name) => new(Folder: folder.At("apart", "adapter", name), Frozen: true);
        using var training = Start(Method(Together.Mix, ("one", Kept("one")), ("two", Kept("two"))), Items("a"), 20);
        var map = training.Model.Projections.First(projection => projection.Deltas.Count > 0);
        using (no_grad())
        using (NewDisposeScope())
        {
            // In one map, the mean of the two outputs.
            var x = Samples.Normal("x", [4, map.InputWidth]);
            var mixed = Samples.Floats(map.Forward(x));
            using var model = Toy.Model();
            var plain = model.Projections.First(projection => projection.Name == map.Name);
            var sum = zeros(4, map.OutputWidth);
            foreach (var name in new[] { "one", "two" })
                using (DeltaSet.Load(model, folder.At("apart", "adapter", name))) sum += plain.Forward(x);
            Assert.True(Samples.Gap(Samples.Floats(sum / 2), mixed) < 1e-5);
        }
        var before = training.Values("mixture");
        training.Steps(3);
        Assert.All(before, pair => Assert.NotEqual(pair.Value, training.Values("mixture")[pair.Key]));
        var trained = Toy.Logits(training.Model, Probe);
        training.Finish(folder.At("mix"));
        using var again = Toy.Model();
        using (AttachedAdapters.Load(again, folder.At("mix", "adapter")))
            Assert.True(Samples.Gap(trained, Toy.Logits(again, Probe)) < 1e-5);
    }

    [Fact]
    public void The_gates_of_a_mixture_have_the_gradient_that_differences_show()
    {
        using var training = Start(Method(Together.Mix, ("one", Lora()), ("two", Lora(rank: 3))), Items("a"), 20).Steps(4);
        var gate = training.Method.Groups(new AdamwSpec(0)).Single(group => group.Name == "mixture").Weights[0];
        using var scope = NewDisposeScope();
        using var batch = training.Model.Lay([Toy.Row(10)]);
        training.Model.NegativeLogLikelihood(batch).backward();
        var slope = Samples.Floats(gate.Value.grad!);
        gate.ClearGradient();
        const float Step = 1e-2f;
        double Loss(int at, float by)
        {
            using var frozen = no_grad();
            gate.Value.view(-1)[at] += by;
            var loss = training.Model.NegativeLogLikelihood(batch).item<float>();
            gate.Value.view(-1)[at] -= by;
            return loss;
        }
        foreach (var at in new[] { 0, 7, 30 })
        {
            var difference = (Loss(at, Step) - Loss(at, -Step)) / (2 * Step);
            Assert.True(
                Math.Abs(difference - slope[at]) < 2e-3 + 0.03 * Math.Abs(slope[at]),
                $"{at}: {difference} by differences, {slope[at]} by the gradient");
        }
    }

    [Fact]
    public void Combined_adapters_start_as_their_weighed_sum_and_train_as_one()
    {
        using (var apart = Start(Method(Together.Stack, ("one", Lora()), ("two", Lora(rank: 3))), Items("a"), 20).Steps(3))
            apart.Finish(folder.At("stages", "apart"));
        Directory.Move(folder.At("stages", "apart", "adapter"), folder.At("stages", "apart.adapter"));
        Directory.Delete(folder.At("stages", "apart"));
        Directory.Move(folder.At("stages", "apart.adapter"), folder.At("stages", "apart"));
        float[] wanted;
        using (var model = Toy.Model())
        using (AttachedAdapters.Load(model, folder.At("stages", "apart"))) wanted = Toy.Logits(model, Probe);
        var spec = new AdapterSpec(Stage: "apart");
        using var training = Start(Method(Together.Combine, ("one", spec), ("two", spec)), Items("a"), 20);
        Assert.True(Samples.Gap(wanted, Toy.Logits(training.Model, Probe)) < 1e-5);
        training.Steps(2);
        Assert.True(Samples.Gap(wanted, Toy.Logits(training.Model, Probe)) > 1e-4);
        training.Finish(folder.At("one"));
        Assert.Equal(5, AdapterConfiguration.Read(folder.At("one", "adapter", "adapter_config.json")).Whole("r", 0));
    }

    [Fact]
    public void An_adapter_goes_on_with_its_moments_as_if_it_had_not_stopped()
    {
        using var whole = Start(Method(Together.Stack, ("one", Lora())), Items("a"), 20).Steps(3);
        var middle = Start(Method(Together.Stack, ("one", Lora())), Items("a"), 20);
        using (middle) middle.Steps(2).Finish(folder.At("half"));
        using var resumed = Start(
            Method(Together.Stack, ("one", new AdapterSpec(Folder: folder.At("half", "adapter"), OptimizerState: true))),
            Items("a"),
            20,
            from: 2).Steps(1);
        Same(whole.Values(""), resumed.Values(""));
        using var forgetful =
            Start(Method(Together.Stack, ("one", new AdapterSpec(Folder: folder.At("half", "adapter")))), Items("a"), 20, from: 2).Steps(1);
        Assert.NotEqual(whole.Values("").Values.SelectMany(x => x), forgetful.Values("").Values.SelectMany(x => x));
        File.Delete(folder.At("half", "adapter", OptimizerSet.File));
        Assert.Contains(
            "without its optimizer's state",
            Assert.Throws<InputException>(() => Start(
                Method(Together.Stack, ("one", new AdapterSpec(Folder: folder.At("half", "adapter"), OptimizerState: true))),
                Items("a"),
                20)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_mixture_goes_on_with_its_gates_where_all_its_adapters_are_named_in_its_order()
    {
        using var whole = Start(Method(Together.Mix, ("one", Lora()), ("two", Lora(rank: 3))), Items("a"), 20).Steps(3);
        var middle = Start(Method(Together.Mix, ("one", Lora()), ("two", Lora(rank: 3))), Items("a"), 20);
        using (middle) middle.Steps(2).Finish(folder.At("stages", "half"));
        AdapterSpec Kept(string name, bool state = true) =>
            new(Folder: folder.At("stages", "half", "adapter", name), OptimizerState: state);
        using (var resumed = Start(Method(Together.Mix, ("one", Kept("one")), ("two", Kept("two"))), Items("a"), 20, from: 2).Steps(1))
            foreach (var group in new[] { "one", "two", "mixture" }) Same(whole.Values(group), resumed.Values(group));

        // Without their moments, the gates have their old values; with other adapters, or in another order, they are fresh.
        float[] Gates(AdaptersMethod method, AdapterPlaces? places = null)
        {
            using var training = new AdapterTraining(
                method,
                places ?? Places,
                Items("a"),
                20,
                null,
                2,
                new NextToken());
            return [.. training.Values("mixture").OrderBy(pair => pair.Key, StringComparer.Ordinal).SelectMany(pair => pair.Value)];
        }
        var kept = Gates(Method(Together.Mix, ("one", Kept("one", false)), ("two", Kept("two", false))));
        Assert.Contains(kept, value => value != 0);
        Assert.All(Gates(Method(Together.Mix, ("two", Kept("two", false)), ("one", Kept("one", false)))), value => Assert.Equal(0, value));
        Assert.All(
            Gates(Method(Together.Mix, ("one", Kept("one", false)), ("two", Kept("two", false)), ("three", Lora()))),
            value => Assert.Equal(0, value));
        // A stage that has begun continues from the gates at its start, even if the folder has changed.
        File.Delete(folder.At("stages", "half", "adapter", AdapterMixture.File));
        Assert.Equal(
            kept, Gates(Method(Together.Mix, ("one", Kept("one", false)), ("two", Kept("two", false))), Places with { Begun = true }));
        Assert.Contains(
            AdapterMixture.File,
            Assert.Throws<InputException>(
                () => Gates(Method(Together.Mix, ("one", Kept("one", false)), ("two", Kept("two", false))))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Each_adapter_keeps_to_its_own_budget_and_all_of_them_to_the_sum()
    {
        AdapterSpec Within(DeltaForm form, string budget) => new(new DeltaSpec(form, Budget: budget));
        using var training = Start(Method(
            Together.Stack,
            ("one", Within(DeltaForm.Lora, "6%")),
            ("two", Within(DeltaForm.Adapter, "1.2k")),
            ("three", Within(DeltaForm.PrefixTuning, "600"))), Items("a"), 20);
        var share = (long)(training.Model.Weights.Sum(weight => weight.Count) * 0.06);
        var groups = training.Method.Groups(new AdamwSpec(1e-2))
            .ToDictionary(group => group.Name, group => group.Weights.Sum(weight => weight.Count));
        foreach (var (name, budget) in new[] { ("one", share), ("two", 1200), ("three", 600) })
            Assert.InRange(groups[name], budget / 2, budget);
        Assert.InRange(training.Method.Weights.Sum(weight => weight.Count), 1, share + 1200 + 600);
        training.Steps(1);
    }

    [Fact]
    public void What_cannot_come_together_is_said()
    {
        string Refused(AdaptersMethod method) => Assert.Throws<InputException>(() => Start(method, Items("a"), 20)).Message;
        Assert.Contains("A mixture needs two adapters or more", Refused(Method(Together.Mix, ("one", Lora()))), StringComparison.Ordinal);
        Assert.Contains(
            "a gate cannot weigh",
            Refused(Method(Together.Mix, ("one", Lora()), ("two", new AdapterSpec(new DeltaSpec(DeltaForm.PromptTuning))))),
            StringComparison.Ordinal);
        Assert.Contains(
            "there is no adapter in",
            Refused(Method(Together.Stack, ("one", new AdapterSpec(Stage: "nowhere")))),
            StringComparison.Ordinal);
        Assert.Contains(
            "cannot be merged",
            Refused(Method(Together.Stack, ("one", new AdapterSpec(new DeltaSpec(DeltaForm.Adapter)))) with { Merge = true }),
            StringComparison.Ordinal);
        using (var routed = Start(Method(Together.Route, ("one", Lora("a")), ("two", Lora("b"))), Items("a", "b"), 40).Steps(1))
            routed.Finish(folder.At("routed"));
        using var model = Toy.Model();
        Assert.Contains(
            "Choose one: --adapter",
            Assert.Throws<InputException>(() => AttachedAdapters.Load(model, folder.At("routed", "adapter"))).Message,
            StringComparison.Ordinal);
        foreach (var damaged in new[]
        {
            """{"together": "stack", "adapters": ["../one"]}""", """{"together": "7", "adapters": ["one"]}""",
            """{"together": "stack", "adapters": ["one", "one"]}""",
        })
        {
            File.WriteAllText(folder.At("routed", "adapter", AttachedAdapters.IndexFile), damaged);
            Assert.Contains(
                "is damaged",
                Assert.Throws<InputException>(() => AttachedAdapters.Load(model, folder.At("routed", "adapter"))).Message,
                StringComparison.Ordinal);
        }
    }
}
