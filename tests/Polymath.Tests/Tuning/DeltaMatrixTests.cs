using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Tuning;
using static TorchSharp.torch;
using static Polymath.Tests.Tuning.DeltaKinds;

namespace Polymath.Tests.Tuning;

/// <summary>Every kind of adapter times every property, on three families.</summary>
[Trait("kind", "invariant")]
public sealed class DeltaMatrixTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [MemberData(nameof(DeltaKinds.Pairs), MemberType = typeof(DeltaKinds))]
    public void A_fresh_one_is_the_base_and_a_moved_one_is_not_until_it_is_switched_off_or_detached(string family, string kind)
    {
        using var model = Open(family);
        var basis = Logits(model);
        using (var fresh = Fresh(model, kind, moved: false))
        {
            Assert.Equal(IsBaseWhenFresh(kind), Samples.Gap(basis, Logits(model)) < 1e-5);
            Assert.NotEmpty(fresh.Trained);
        }
        using (var moved = Fresh(model, kind, moved: true))
        {
            var changed = Logits(model);
            Assert.True(Samples.Gap(basis, changed) > 1e-4, "the adapter changes nothing");
            using (moved.Off()) Assert.Equal(basis, Logits(model));
            Assert.Equal(changed, Logits(model));
        }
        Assert.Equal(basis, Logits(model));
    }

    [Theory]
    [MemberData(nameof(DeltaKinds.Pairs), MemberType = typeof(DeltaKinds))]
    public void What_is_saved_answers_the_same_when_it_is_loaded_and_goes_on_being_trained(string family, string kind)
    {
        using var model = Open(family);
        float[] before;
        List<string> names;
        using (var set = Fresh(model, kind, moved: true))
        {
            before = Logits(model);
            names = [.. set.Trained.Select(item => item.Name)];
            set.Save(folder.Path);
        }
        using var again = DeltaSet.Load(model, folder.Path);
        // The rounding of a product may depend on its place in memory.
        Assert.True(Samples.Gap(before, Logits(model)) < 1e-6);
        Assert.Equal(names, again.Trained.Select(item => item.Name));
    }

    [Theory]
    [MemberData(nameof(DeltaKinds.Pairs), MemberType = typeof(DeltaKinds))]
    public void Merged_it_answers_as_before_where_it_can_be_merged(string family, string kind)
    {
        using var model = Open(family);
        using var set = Fresh(model, kind, moved: true);
        // If the model has all biases, none is created, and the existing ones are its own.
        Assert.Equal(
            !kind.StartsWith('P') && kind != "ADAPTION_PROMPT" && !(kind.EndsWith("a bias", StringComparison.Ordinal) && family == "llama")
                || kind.StartsWith("POLYMATH_S", StringComparison.Ordinal) || (family, kind) == ("gpt2", "POLYMATH_BITFIT"),
            set.Merges);
        if (!set.Merges) return;
        var apart = Logits(model);
        var merged = set.Merged();
        var streamed = model.Weights.Select(weight =>
        {
            using var scope = NewDisposeScope();
            return Samples.Floats(merged.Of(weight) ?? weight.Wide());
        }).ToList();
        set.Merge();
        // One weight at a time gives exactly the same as all at once.
        Assert.All(model.Weights.Zip(streamed), pair => Assert.Equal(pair.Second, Samples.Floats(pair.First.Wide())));
        Assert.True(Samples.Gap(apart, Logits(model)) < 1e-4, $"{Samples.Gap(apart, Logits(model))}");
        Assert.All(model.Projections, projection => Assert.Empty(projection.Deltas));
    }

    public static TheoryData<BasePrecision, string, string> Rounded
    {
        get
        {
            var rows = new TheoryData<BasePrecision, string, string>();
            foreach (var (family, kind) in Pairs.Select(row => row.Data))
            {
                rows.Add(BasePrecision.Bfloat16, family, kind);
                if (family != "llama") continue;
                rows.Add(BasePrecision.Nf4, family, kind);
                rows.Add(BasePrecision.Int8, family, kind);
            }
            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Rounded))]
    public void On_a_rounded_base_it_is_what_it_is_on_the_numbers_that_the_base_stands_for(
        BasePrecision precision, string family, string kind)
    {
        using LanguageModel held = Open(family), wide = Open(family);
        held.Quantize(precision);
        foreach (var (own, other) in held.Weights.Zip(wide.Weights))
        {
            using var numbers = own.Wide();
            other.Assign(numbers);
        }
        foreach (var weight in held.Weights.Concat(wide.Weights)) weight.Trainable = false;
        var basis = Logits(held);
        using (Fresh(held, kind, moved: false)) Assert.Equal(IsBaseWhenFresh(kind), Samples.Gap(basis, Logits(held)) < 1e-5);
        float[] changed;
        using (DeltaSet set = Fresh(held, kind, moved: true), twin = Fresh(wide, kind, moved: true))
        {
            changed = Logits(held);
            Assert.True(Samples.Gap(basis, changed) > 1e-4, "the adapter changes nothing");
            using (set.Off()) Assert.Equal(basis, Logits(held));
            foreach (var (model, weights) in new[] { (held, set.Weights), (wide, twin.Weights) })
            {
                foreach (var weight in weights) weight.Trainable = true;
                using var scope = NewDisposeScope();
                using var batch = model.Lay(Rows());
                Fused.Backpropagate(model.NegativeLogLikelihood(batch));
            }
            foreach (var ((name, weight), (_, other)) in set.Trained.Zip(twin.Trained))
                Assert.True(
                    Samples.Gap(
                        other.Value.grad is { } theirs ? Samples.Floats(theirs) : new float[weight.Count],
                        weight.Value.grad is { } ours ? Samples.Floats(ours) : new float[weight.Count]) < 2e-4,
                    name);
            set.Save(folder.Path);
        }
        Assert.Equal(basis, Logits(held));
        using var again = DeltaSet.Load(held, folder.Path);
        Assert.True(Samples.Gap(changed, Logits(held)) < 1e-6);
    }

    [Theory]
    [MemberData(nameof(DeltaKinds.Pairs), MemberType = typeof(DeltaKinds))]
    public void Taken_out_again_it_leaves_the_base_where_there_is_a_way_back(string family, string kind)
    {
        using var basis = Open(family);
        using var merged = Open(family);
        using (var set = Fresh(merged, kind, moved: true))
        {
            if (!set.Merges) return;
            set.Save(folder.Path);
            set.Merge();
        }
        Assert.False(ModelSignature.Of(basis).Fits(ModelSignature.Of(merged)));
        using var again = DeltaSet.Load(merged, folder.Path, anyBase: true);
        var own = basis.Weights.ToDictionary(weight => weight.Name);
        // Rows that DoRA has scaled, PiSSA's part of the base, and replaced values cannot be undone.
        var lost = kind is "LORA dora" or "LORA dora a bias" or "LORA tokens" or "LORA bias" or "LORA pissa" or "LORA olora" or "LN_TUNING"
            or "TRAINABLE_TOKENS" or "POLYMATH_BITFIT";
        if (lost) Assert.Contains("--base", Assert.Throws<InputException>(() => again.Unmerged()).Message, StringComparison.Ordinal);
        var weights = again.Unmerged(lost ? weight => own[weight.Name].Wide() : null);
        foreach (var weight in merged.Weights)
        {
            using var scope = NewDisposeScope();
            Assert.True(
                Samples.Gap(Samples.Floats(own[weight.Name].Wide()), Samples.Floats(weights.Of(weight) ?? weight.Wide())) < 2e-5,
                weight.Name);
        }
    }

    [Theory]
    [MemberData(nameof(DeltaKinds.Pairs), MemberType = typeof(DeltaKinds))]
    public void Gradients_are_finite_differences_and_reach_the_adapter_alone(string family, string kind)
    {
        using var model = Open(family);
        foreach (var weight in model.Weights) weight.Trainable = false;
        using var set = Fresh(model, kind, moved: true);
        foreach (var weight in set.Weights) weight.Trainable = true;
        using (NewDisposeScope())
        {
            using var batch = model.Lay(Rows());
            Fused.Backpropagate(model.NegativeLogLikelihood(batch));
        }
        var own = set.Weights.ToHashSet();
        Assert.All(model.Weights.Where(weight => !own.Contains(weight)), weight => Assert.Null(weight.Value.grad));
        foreach (var (name, weight) in set.Trained)
        {
            using var scope = NewDisposeScope();
            // Along a random direction, which tests all elements of a weight at once.
            Tensor direction = Samples.Normal($"way of {name}", weight.Value.shape), start = weight.Value.detach().clone();
            direction /= direction.norm();
            var slope = weight.Value.grad is { } gradient ? (gradient * direction).sum().item<float>() : 0;
            double At(double step)
            {
                weight.Assign(start + direction * step);
                return Loss(model);
            }

            // DoRA's lengths count as constants in the gradient, by definition.
            if (kind.StartsWith("LORA dora", StringComparison.Ordinal) && !name.EndsWith("lora_B.bias", StringComparison.Ordinal)
                && !name.EndsWith("lora_magnitude_vector", StringComparison.Ordinal))
                continue;
            const double Step = 2e-3;
            var measured = (At(Step) - At(-Step)) / (2 * Step);
            weight.Assign(start);
            Assert.True(Math.Abs(measured - slope) <= 0.02 * Math.Max(Math.Abs(measured), 0.3), $"{name}: {slope} is not {measured}");
        }
    }
}
