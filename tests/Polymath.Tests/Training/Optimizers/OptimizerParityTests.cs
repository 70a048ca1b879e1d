using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using Polymath.Tests.Tensors;
using Polymath.Training.Optimizers;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Optimizers;

/// <summary>Ten steps of each optimizer beside those of PyTorch, transformers, bitsandbytes and the authors' own code.</summary>
[Trait("kind", "parity")]
public sealed class OptimizerParityTests
{
    private const double Tight = 2e-6;

    private static readonly Dictionary<string, OptimizerSpec> settings = new()
    {
        ["adamw"] = new AdamwSpec(
            2e-2,
            0.9,
            0.95,
            1e-6,
            0.1),
        ["adamw8bit"] = new Adamw8bitSpec(new AdamwSpec(
            2e-2,
            0.9,
            0.95,
            1e-6,
            0.1)),
        ["adafactor"] = new AdafactorSpec(2e-2, WeightDecay: 0.1),
        ["adafactorMoment"] = new AdafactorSpec(
            2e-2,
            DecayRate: -0.5,
            Beta1: 0.9,
            ClipThreshold: 0.5,
            WeightDecay: 0.1),
        ["adafactorRelative"] = new AdafactorSpec(1, ScaleParameter: true, RelativeStep: true, WeightDecay: 0.1),
        ["adafactorWarmup"] = new AdafactorSpec(1, RelativeStep: true, WarmupInit: true, WeightDecay: 0.1),
        ["lion"] = new LionSpec(1e-3, WeightDecay: 0.1),
        ["muon"] = new MuonSpec(2e-2),
        ["muonMatched"] = new MuonSpec(2e-2, Nesterov: false, AdjustLrFn: MuonRate.MatchRmsAdamw),
        ["sgd"] = new SgdSpec(5e-2, WeightDecay: 0.1),
        ["sgdMomentum"] = new SgdSpec(5e-2, Momentum: 0.9, WeightDecay: 0.1),
        ["sgdNesterov"] = new SgdSpec(
            5e-2,
            Momentum: 0.9,
            Nesterov: true,
            WeightDecay: 0.1),
    };

    public static TheoryData<string> Cases => [.. settings.Keys];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Ten_steps_end_where_the_peer_s_do(string name)
    {
        using var fixture = OptimizerCases.Fixture();
        // PyTorch's Muon counts in bfloat16; beside it stands the same code of PyTorch's in 32 bits.
        var key = name.StartsWith("muon", StringComparison.Ordinal) ? name + "32" : name;
        var found = OptimizerCases.Shapes.Keys.Where(shape => fixture.Entries.ContainsKey($"{key}.{shape}")).ToList();
        Assert.True(found.Count >= 2);
        var ended = Train(settings[name], found);
        foreach (var shape in found)
        {
            using var wanted = fixture.Map($"{key}.{shape}");
            Samples.Near(wanted, ended[shape], Tight, $"{name}, {shape}");
        }
    }

    [Theory]
    [InlineData("muon")]
    [InlineData("muonMatched")]
    public void Muon_s_steps_are_PyTorch_s_to_the_places_of_bfloat16(string name)
    {
        using var fixture = OptimizerCases.Fixture();
        var ended = Train(settings[name], ["wide", "tall"]);
        foreach (var shape in ended.Keys)
        {
            using var wanted = fixture.Map($"{name}.{shape}");
            using var start = OptimizerCases.Start(shape).Value;
            // bfloat16 keeps 8 bits, in five products of three matrices for each of ten steps.
            var way = (wanted - start).abs().max().item<float>();
            Assert.True(Samples.Gap(Samples.Floats(wanted), Samples.Floats(ended[shape])) < 0.02 * way, shape);
        }
    }

    [Fact]
    public void The_8_bit_codes_and_scales_are_those_of_bitsandbytes()
    {
        using var scope = NewDisposeScope();
        using var fixture = OptimizerCases.Fixture();
        using var optimizer = new OptimizerSet([OptimizerCases.Start("large")], settings["adamw8bit"]);
        Take(optimizer);
        var state = optimizer.State();
        foreach (var (ours, theirs) in new[]
        {
            ("firstCode", "state1"), ("secondCode", "state2"), ("firstScale", "absmax1"), ("secondScale", "absmax2"),
        })
        {
            using var wanted = fixture.Map("adamw8bit.large." + theirs);
            var value = state[ours + ".large"];
            Assert.Equal(wanted.dtype, value.dtype);
            // A number that lies between two of the map's within the last place may be rounded either way.
            if (value.dtype == ScalarType.Byte) Assert.InRange(value.flatten().ne(wanted.flatten()).sum().item<long>(), 0, 4);
            else Samples.Near(wanted, value, 1e-6, ours);
        }
    }

    [Fact]
    public void The_8_bit_maps_are_those_of_bitsandbytes()
    {
        using var fixture = OptimizerCases.Fixture();
        foreach (var (map, key) in new[] { (DynamicMap.Signed, "qmap1"), (DynamicMap.Unsigned, "qmap2") })
        {
            using var wanted = fixture.Map("adamw8bit.large." + key);
            Assert.Equal(Samples.Floats(wanted), map.Values.ToArray());
        }
    }

    [Fact]
    public void What_is_no_hidden_matrix_moves_by_AdamW_at_a_rate_of_its_own()
    {
        using var scope = NewDisposeScope();
        var spec = new MuonSpec(
            0.5,
            AdamwRate: 2e-2,
            AdamwBeta2: 0.95,
            AdamwEpsilon: 1e-6,
            AdamwWeightDecay: 0.1);
        var weights = new[] { OptimizerCases.Start("vector"), OptimizerCases.Start("tall") };
        using var optimizer = new OptimizerSet([new WeightGroup("", weights, spec) { IsHiddenMatrix = _ => false }]);
        // The schedule is at its peak: Muon's rate.
        Take(optimizer, rate: 0.5);
        using var fixture = OptimizerCases.Fixture();
        foreach (var weight in weights)
        {
            using var wanted = fixture.Map($"adamw.{weight.Name}");
            Samples.Near(wanted, weight.Value, Tight, weight.Name);
        }
    }

    [Fact]
    public void A_matrix_becomes_nearly_orthogonal()
    {
        using var scope = NewDisposeScope();
        foreach (var shape in new long[][] { [9, 20], [20, 9], [12, 12] })
        {
            var (_, values, _) = linalg.svd(Muon.Orthogonal(Samples.Normal("matrix", shape) * 50, 5, 1e-7), fullMatrices: false);
            Assert.InRange(values.max().item<float>(), 0.9f, 1.3f);
            Assert.InRange(values.mean().item<float>(), 0.6f, 1.2f);
        }
    }

    private static Dictionary<string, Tensor> Train(OptimizerSpec spec, IReadOnlyList<string> names)
    {
        var weights = names.Select(OptimizerCases.Start).ToList();
        using var optimizer = new OptimizerSet(weights, spec);
        Take(optimizer);
        return weights.ToDictionary(weight => weight.Name, weight => weight.Value);
    }

    // Gradients come as sums, four times as large as the mean.
    private static void Take(OptimizerSet optimizer, double? rate = null)
    {
        for (var step = 1; step <= OptimizerCases.Steps; step++)
        {
            foreach (var weight in optimizer.Weights) weight.Value.grad = OptimizerCases.Gradient(weight.Name, step) * 4;
            optimizer.Step(rate ?? optimizer.Groups[0].Spec.Rate, 0.25);
        }
    }
}
