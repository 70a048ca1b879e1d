using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Optimizers;

/// <summary>The weights, gradients and settings of <c>tests/peers/make_optimizers.py</c>.</summary>
internal static class OptimizerCases
{
    public const int Steps = 10;

    public static readonly IReadOnlyDictionary<string, long[]> Shapes = new Dictionary<string, long[]>
    {
        ["vector"] = [37], ["wide"] = [6, 11], ["tall"] = [13, 5], ["large"] = [7, 589],
    };

    /// <summary>One of each kind, with settings that learn on toys.</summary>
    public static readonly IReadOnlyDictionary<string, OptimizerSpec> Kinds = new Dictionary<string, OptimizerSpec>
    {
        ["adamw"] = new AdamwSpec(1e-2, WeightDecay: 0.01),
        ["adamw8bit"] = new Adamw8bitSpec(new AdamwSpec(1e-2, WeightDecay: 0.01)),
        ["adafactor"] = new AdafactorSpec(1e-2, Beta1: 0.9, WeightDecay: 0.01),
        ["adafactorRelative"] = new AdafactorSpec(1, ScaleParameter: true, RelativeStep: true),
        ["lion"] = new LionSpec(2e-3, WeightDecay: 0.01),
        ["muon"] = new MuonSpec(2e-2, AdamwRate: 1e-2),
        ["sgd"] = new SgdSpec(0.2, Momentum: 0.9, Nesterov: true),
    };

    public static SafetensorsFile Fixture() =>
        SafetensorsFile.Open(Path.Combine(AppContext.BaseDirectory, "fixtures", "optimizers", "optimizers.safetensors"));

    public static Weight Start(string name) => new(name, Values((ulong)(1000 + name.Length), Shapes[name])) { Trainable = true };

    public static Tensor Gradient(string name, int step) =>
        Values((ulong)(step * 7919 + name.Length), Shapes[name]) * new[] { 1.0, 0.01, 0.3, 3.0, 0.001 }[step % 5];

    private static Tensor Values(ulong seed, long[] shape)
    {
        var values = new float[shape.Aggregate(1L, (product, x) => product * x)];
        for (var i = 0; i < values.Length; i++)
        {
            seed = unchecked(seed * 6364136223846793005 + 1442695040888963407);
            values[i] = (seed >> 40) / 8388608f - 1;
        }
        return tensor(values, shape);
    }
}
