using System.Diagnostics;
using System.Text.Json;
using Polymath.Tensors;

namespace Polymath.Bench;

/// <summary>Training a LoRA on a model folder, for the comparison with lora_peer.py: the same rows, the same steps.</summary>
internal static class LoraSpeed
{
    /// <summary>Prints each step's loss, then the tokens per second after the first step and the peak memory.</summary>
    internal static int Run(string folder, int steps, int microTokens, bool checkpointing)
    {
        TorchRuntime.Load();
        var tokens = 0L;
        var started = 0L;
        foreach (var step in Ours.Train(steps, folder, microTokens, checkpointing))
        {
            Console.WriteLine($"loss {step.Loss:F6}");
            if (started == 0) started = Stopwatch.GetTimestamp();
            else tokens += step.Tokens;
        }
        Console.WriteLine($"{tokens / Stopwatch.GetElapsedTime(started).TotalSeconds:F1} tokens/s, peak "
            + $"{Process.GetCurrentProcess().PeakWorkingSet64 / 1e6:F0} MB");
        return 0;
    }

    /// <summary>
    /// Writes the steps' rows for the peer: for each step its rows, for each row its tokens and the first that is a target.
    /// </summary>
    internal static int WriteRows(int steps, string file)
    {
        File.WriteAllText(file, JsonSerializer.Serialize(
            Enumerable.Range(0, steps).Select(step => Workload.Step(step).Select(row => new { ids = row.Ids, first = row.FirstTarget }))));
        return 0;
    }
}
