using System.Diagnostics;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Tensors;

namespace Polymath.Bench;

/// <summary>
/// Greedy decoding of one row after a prompt of 16 tokens, measured like llama.cpp's <c>llama-bench -p 16 -n N</c> and transformers'
/// <c>generate</c>.
/// </summary>
internal static class DecodeSpeed
{
    internal static int Run(string folder, int tokens)
    {
        TorchRuntime.Load();
        using var model = ModelFolder.Open(folder);
        var prompt = Enumerable.Range(3, 16).ToArray();
        var generator = new TokenGenerator(model, []);
        double Seconds(int count)
        {
            var started = Stopwatch.GetTimestamp();
            generator.Generate([prompt], new SamplingSettings(Temperature: 0, MaxNewTokens: count));
            return Stopwatch.GetElapsedTime(started).TotalSeconds;
        }
        Seconds(8);
        for (var turn = 0; turn < 3; turn++)
        {
            var opening = Seconds(1);
            Console.WriteLine($"{(tokens - 1) / (Seconds(tokens) - opening):F1} tokens/s after the first, which took "
                + $"{opening * 1000:F0} ms");
        }
        return 0;
    }
}
