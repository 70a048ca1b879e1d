using System.Diagnostics;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Kernels;
using Polymath.Training.Stages;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Bench;

/// <summary>
/// Rounding to NF4 by the kernel and by libtorch's operations, alternately; and merging an adapter at once or one weight at a time.
/// </summary>
internal static class AdapterFiles
{
    internal static int Round(string folder)
    {
        TorchRuntime.Load();
        using var frozen = no_grad();
        using var model = ModelFolder.Open(folder);
        var numbers = model.Projections.Sum(map => map.Weight.Count);
        for (var turn = 0; turn < 3; turn++)
            foreach (var plain in new[] { false, true })
            {
                var from = Stopwatch.GetTimestamp();
                foreach (var map in model.Projections)
                {
                    using var rounded = Nf4Matrix.Of(map.Weight.Value.detach(), plain);
                }
                Console.WriteLine($"{(plain ? "libtorch" : "kernel")}: {numbers / 1e6:F1}M numbers in "
                    + $"{Stopwatch.GetElapsedTime(from).TotalSeconds:F2} s");
            }
        return 0;
    }

    // A Llama of random weights with 453 million parameters in its maps.
    internal static int Fresh(string output)
    {
        TorchRuntime.Load();
        using var frozen = no_grad();
        var configuration = (JsonObject)JsonNode.Parse(
            """
            {
              "model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":1536,"intermediate_size":4096,
              "num_hidden_layers":16,"num_attention_heads":24,"num_key_value_heads":24,"vocab_size":16000,
              "max_position_embeddings":2048,"rms_norm_eps":1e-5,"hidden_act":"silu","tie_word_embeddings":false
            }
            """)!;
        using var model = ModelFolder.New(configuration, 1);
        Directory.CreateDirectory(output);
        ModelWriter.Write(model, output, ScalarType.BFloat16, long.MaxValue);
        return 0;
    }

    // A fresh low-rank adapter on every map, with changed weights so that it has an effect.
    internal static int Make(string folder, string output)
    {
        TorchRuntime.Load();
        using var model = ModelFolder.Open(folder);
        using var method = TrainedMethod.Attach(model, new LoraMethod(R: 8, TargetModules: ["all-linear"], Merge: false), 1, "bench");
        foreach (var weight in method.Weights.Where(weight => weight.Name.EndsWith("lora_B.weight", StringComparison.Ordinal)))
            weight.Assign(ones_like(weight.Value) * 1e-4);
        method.Finish(output);
        return 0;
    }

    internal static int Merge(string folder, string adapter, string output, bool atOnce)
    {
        TorchRuntime.Load();
        using var model = ModelFolder.Open(folder);
        var type = ModelWriter.TypeOf(model);
        using var deltas = DeltaSet.Load(model, adapter);
        Directory.CreateDirectory(output);
        var from = Stopwatch.GetTimestamp();
        var most = 0.0;
        void Look() => most = Math.Max(most, BasePrecisions.Own());
        if (atOnce)
        {
            deltas.Merge();
            ModelWriter.Write(
                model,
                output,
                type,
                long.MaxValue,
                Look);
        }
        else
        {
            var merged = deltas.Merged();
            ModelWriter.Write(
                model,
                output,
                type,
                long.MaxValue,
                null,
                weight =>
                {
                    var made = merged.Of(weight);
                    Look();
                    return made;
                });
        }
        Console.WriteLine($"{(atOnce ? "at once" : "a weight at a time")}: {Stopwatch.GetElapsedTime(from).TotalSeconds:F1} s, at most "
            + $"{most:F0} MB of the process's own");
        return 0;
    }
}
