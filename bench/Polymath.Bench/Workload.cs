using System.Text.Json.Nodes;
using Polymath.Models.Families;
using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Bench;

/// <summary>The workload: a 135M-parameter Llama with LoRA, on rows as long as real instructions.</summary>
internal static class Workload
{
    internal const int Vocabulary = 49152, RowsOfPass = 2, PassesOfStep = 4, Rank = 8;

    // Lengths in tokens of the first rows of a published instruction set (question and answer).
    private static readonly int[] lengths =
    [
        398, 36, 427, 55, 132, 100, 56, 326, 49, 339, 39, 333, 612, 101, 416, 132, 49, 56, 434, 181, 417, 136, 52, 163, 143, 72, 380, 303,
        108, 41, 387, 339,
        30, 297, 147, 44, 308, 52, 479, 437, 194, 299, 137, 204, 159, 162, 368, 85, 51, 64, 45, 252, 229, 275, 146, 370, 390, 77, 237, 514,
        317, 64, 334, 550,
    ];

    internal static JsonObject Configuration { get; } = Llama.Configure(
        new LlamaSpec(HiddenSize: 576, IntermediateSize: 1536, Layers: 30, Heads: 9, KeyValueHeads: 3, ContextLength: 1024, TiedHead: true),
        Vocabulary,
        1,
        2);

    /// <summary>The rows of a step: random tokens, the first third of each being the question.</summary>
    internal static List<(int[] Ids, int FirstTarget)> Step(int step)
    {
        var rows = new List<(int[], int)>();
        for (var i = 0; i < RowsOfPass * PassesOfStep; i++)
        {
            var length = lengths[(step * RowsOfPass * PassesOfStep + i) % lengths.Length];
            var random = new RandomStream(1, "bench", step, i);
            rows.Add(([.. Enumerable.Range(0, length).Select(_ => random.Next(Vocabulary))], length / 3));
        }
        return rows;
    }
}
