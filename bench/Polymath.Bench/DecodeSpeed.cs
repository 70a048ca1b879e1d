using System.Diagnostics;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Tensors;

namespace Polymath.Bench;

/// <summary>
/// Decoding after prompts of 16 tokens, measured like llama.cpp's <c>llama-bench -p 16 -n N</c> and transformers' <c>generate</c>. The
/// machine may be shared, so the time of the processor is told, too.
/// </summary>
internal static class DecodeSpeed
{
    /// <param name="folder">The model.</param>
    /// <param name="tokens">The new tokens of a row.</param>
    /// <param name="rows">The rows, each with a prompt of its own.</param>
    /// <param name="temperature">The temperature; 0 is greedy.</param>
    internal static int Run(string folder, int tokens, int rows, double temperature)
    {
        TorchRuntime.Load();
        using var model = ModelFolder.Open(folder);
        int[][] prompts = [.. Enumerable.Range(0, rows).Select(row => Enumerable.Range(3 + row, 16).ToArray())];
        var generator = new TokenGenerator(model, []);
        (double Seconds, double Processor) Time(int count)
        {
            var process = Process.GetCurrentProcess();
            var (started, before) = (Stopwatch.GetTimestamp(), process.TotalProcessorTime);
            generator.Generate(prompts, new SamplingSettings(temperature, MaxNewTokens: count));
            process.Refresh();
            return (Stopwatch.GetElapsedTime(started).TotalSeconds, (process.TotalProcessorTime - before).TotalSeconds);
        }
        Time(8);
        for (var turn = 0; turn < 3; turn++)
        {
            var opening = Time(1);
            var whole = Time(tokens);
            var made = rows * (tokens - 1);
            Console.WriteLine($"{made / (whole.Seconds - opening.Seconds):F1} tokens/s after the first, which took "
                + $"{opening.Seconds * 1000:F0} ms; {(whole.Processor - opening.Processor) / made * 1000:F2} ms of processor time a token");
        }
        return 0;
    }
}
