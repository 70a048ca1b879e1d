using System.Diagnostics;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Text.Packing;
using Polymath.Training.Stages;
using static TorchSharp.torch;

namespace Polymath.Bench;

/// <summary>
/// One model with its frozen maps stored in one precision: the bytes, the speed of greedy decoding, and LoRA's speed, loss and memory on
/// it.
/// </summary>
internal static class BasePrecisions
{
    private const int Tokens = 96, Rows = 8, Length = 128, Steps = 4;

    internal static int Run(string folder, string precision, bool trains)
    {
        TorchRuntime.Load();
        using var model = ModelFolder.Open(folder);
        var started = Stopwatch.GetTimestamp();
        model.Quantize(precision == "file" ? null : Enum.Parse<BasePrecision>(precision, ignoreCase: true));
        var rounding = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Console.WriteLine($"{precision}: maps {model.Projections.Sum(map => map.Weight.Bytes) / 1e6:F1} MB of "
            + $"{model.Projections.Sum(map => map.Weight.Count) / 1e6:F1}M numbers, rounded in {rounding:F1} s; {Own():F0} MB of the "
            + "process's own");
        Decode(model);
        Console.WriteLine($"  after decoding {Own():F0} MB of the process's own");
        if (trains) Train(model);
        return 0;
    }

    private static void Decode(LanguageModel model)
    {
        var generator = new TokenGenerator(model, []);
        var prompt = Enumerable.Range(3, 16).ToArray();
        double Seconds(int count)
        {
            var from = Stopwatch.GetTimestamp();
            generator.Generate([prompt], new SamplingSettings(Temperature: 0, MaxNewTokens: count));
            return Stopwatch.GetElapsedTime(from).TotalSeconds;
        }
        Seconds(8);
        for (var turn = 0; turn < 3; turn++)
        {
            var opening = Seconds(1);
            var before = Process.GetCurrentProcess().TotalProcessorTime;
            var rate = (Tokens - 1) / (Seconds(Tokens) - opening);
            // If other processes use the cores, too, the processor time of one thread is more reliable than the clock (OMP_NUM_THREADS=1).
            Console.WriteLine($"  decode {rate:F1} tokens/s, "
                + $"{(Process.GetCurrentProcess().TotalProcessorTime - before).TotalMilliseconds / Tokens:F2} ms of processor time "
                + "a token");
        }
    }

    private static void Train(LanguageModel model)
    {
        using var method = TrainedMethod.Attach(model, new LoraMethod(R: 8, TargetModules: ["all-linear"]), 1, "bench");
        using var optimizer = new Training.Optimizers.OptimizerSet(method.Weights, new AdamwSpec(1e-4));
        var most = 0.0;
        for (var step = 0; step < Steps; step++)
        {
            var from = Stopwatch.GetTimestamp();
            using var scope = NewDisposeScope();
            using var batch = model.Lay([.. Enumerable.Range(0, Rows)
                .Select(row => new TokenRow(
                    [.. Enumerable.Range(0, Length).Select(i => 3 + (row * 131 + i * 17) % 900)],
                    [.. Enumerable.Range(0, Length).Select(i => i == 0 ? 0f : 1f)],
                    ""))]);
            var loss = model.NegativeLogLikelihood(batch) / (Rows * (Length - 1));
            Fused.Backpropagate(loss);
            most = Math.Max(most, Own());
            optimizer.Step(1e-4, 1);
            foreach (var weight in method.Weights) weight.ClearGradient();
            Console.WriteLine($"  train {Rows * Length / Stopwatch.GetElapsedTime(from).TotalSeconds:F1} tokens/s, loss "
                + $"{loss.item<float>():F4}");
        }
        Console.WriteLine($"  at the end of the backward pass {most:F0} MB of the process's own");
    }

    // The process's memory without pages of files, which the system can reclaim.
    internal static double Own() => double.Parse(File.ReadLines("/proc/self/status")
        .First(line => line.StartsWith("RssAnon:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2]) / 1e3;
}
