using System.Diagnostics;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Tensors;

namespace Polymath.Bench;

/// <summary>The time to open a model's folder, and its memory after opening and after answers.</summary>
internal static class LoadSpeed
{
    internal static int Run(string folder)
    {
        TorchRuntime.Load();
        var before = Resident();
        var started = Stopwatch.GetTimestamp();
        using var model = ModelFolder.Open(folder);
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Console.WriteLine($"opened in {seconds:F3} s, resident {Resident() - before:N0} MB more; "
            + $"{model.Weights.Sum(weight => weight.Count):N0} parameters, "
            + $"{model.Weights.Sum(weight => weight.Count * weight.Value.element_size()) / 1e6:N0} MB");
        foreach (var turn in new[] { "first", "second" })
        {
            started = Stopwatch.GetTimestamp();
            new TokenGenerator(model, []).Generate([[.. Enumerable.Range(3, 64)]], new SamplingSettings(Temperature: 0, MaxNewTokens: 16));
            Console.WriteLine($"{turn} 16 tokens in {Stopwatch.GetElapsedTime(started).TotalSeconds:F2} s, resident "
                + $"{Resident() - before:N0} MB more");
        }
        return 0;
    }

    private static long Resident()
    {
        using var self = Process.GetCurrentProcess();
        return self.WorkingSet64 / 1_000_000;
    }
}
