using System.Diagnostics;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Optimizers;
using static TorchSharp.torch;

namespace Polymath.Bench;

/// <summary>
/// One step of each optimizer over 200 matrices of 250 rows and 500 columns, 25 million elements in all, and what it remembers;
/// <c>bench/optimizers_peer.py</c> measures the peers' on the same ones.
/// </summary>
internal static class OptimizerKinds
{
    private const int Weights = 200, Rows = 250, Columns = 500, Steps = 7;

    private static readonly (string Name, OptimizerSpec Spec)[] kinds =
    [
        ("adamw", new AdamwSpec(1e-3)),
        ("adamw8bit", new Adamw8bitSpec(new AdamwSpec(1e-3))),
        ("adafactor", new AdafactorSpec(1e-3)),
        ("lion", new LionSpec(1e-3)),
        ("muon", new MuonSpec(1e-3)),
        ("sgd", new SgdSpec(1e-3, Momentum: 0.9)),
    ];

    /// <summary>Prints the median milliseconds of a step of each, and the megabytes of its state.</summary>
    internal static int Run()
    {
        var weights = Enumerable.Range(0, Weights).Select(i => new Weight($"weight {i}", randn(Rows, Columns))).ToList();
        foreach (var weight in weights) weight.Trainable = true;
        var gradients = weights.Select(_ => randn(Rows, Columns)).ToList();
        foreach (var (name, spec) in kinds)
        {
            using var optimizer = new OptimizerSet(weights, spec);
            var times = new List<double>();
            for (var step = 0; step < Steps; step++)
            {
                for (var i = 0; i < Weights; i++) weights[i].Value.grad = gradients[i].alias();
                var started = Stopwatch.GetTimestamp();
                optimizer.Step(spec.Rate, 1);
                times.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
            }
            Console.WriteLine($"{name,-12}{times.Order().ElementAt(Steps / 2),10:F1} ms{optimizer.StateBytes / 1e6,10:F1} MB");
        }
        return 0;
    }
}
