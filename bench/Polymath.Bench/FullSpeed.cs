using System.Diagnostics;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;

namespace Polymath.Bench;

/// <summary>Training every weight of a model folder, for the comparison with full_peer.py: the same rows, the same steps.</summary>
internal static class FullSpeed
{
    // Three layers of four are linear attention by the gated delta rule; a token goes through two of eight experts and a shared one.
    private const string Next = """
        {
          "model_type": "qwen3_next", "architectures": ["Qwen3NextForCausalLM"], "vocab_size": 49152, "hidden_size": 576,
          "num_hidden_layers": 24, "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64, "linear_num_key_heads": 8,
          "linear_num_value_heads": 16, "linear_key_head_dim": 64, "linear_value_head_dim": 64, "linear_conv_kernel_dim": 4,
          "full_attention_interval": 4, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 128,
          "shared_expert_intermediate_size": 256, "intermediate_size": 1536, "decoder_sparse_step": 1, "mlp_only_layers": [],
          "norm_topk_prob": true, "max_position_embeddings": 1024, "tie_word_embeddings": true, "hidden_act": "silu",
          "rms_norm_eps": 1e-6, "rope_parameters": {"rope_type": "default", "rope_theta": 10000, "partial_rotary_factor": 0.25},
          "bos_token_id": 1, "eos_token_id": 2
        }
        """;

    /// <summary>Writes a Qwen3-Next of 131 million random weights.</summary>
    internal static int Make(string folder)
    {
        TorchRuntime.Load();
        using var model = ModelFolder.New(JsonNode.Parse(Next)!.AsObject(), 1);
        Directory.CreateDirectory(folder);
        ModelFolder.Save(model, folder);
        Console.WriteLine($"{model.Weights.Sum(weight => weight.Count) / 1e6:F1}M parameters in {folder}");
        return 0;
    }

    /// <summary>Prints each step's loss and time, then the tokens per second after the first step and the peak memory.</summary>
    internal static int Run(string folder, int steps, int microTokens)
    {
        TorchRuntime.Load();
        long tokens = 0, started = 0;
        foreach (var step in Ours.Train(steps, folder, microTokens, method: new FullMethod()))
        {
            Console.WriteLine($"loss {step.Loss:F6}");
            if (started == 0) started = Stopwatch.GetTimestamp();
            else tokens += step.Tokens;
        }
        Console.WriteLine($"{tokens / Stopwatch.GetElapsedTime(started).TotalSeconds:F1} tokens/s, peak "
            + $"{Process.GetCurrentProcess().PeakWorkingSet64 / 1e6:F0} MB");
        return 0;
    }
}
