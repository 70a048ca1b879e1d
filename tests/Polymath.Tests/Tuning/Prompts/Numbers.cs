using System.Text.Json.Nodes;
using Polymath.Tests.Tensors;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Numbers of a reference case beside ours.</summary>
internal static class Numbers
{
    public static double[] Of(JsonNode? node) => node is JsonArray list ? [.. list.SelectMany(Of)] : [node!.GetValue<double>()];

    public static double[] Of(Tensor values) => [.. Samples.Floats(values).Select(x => (double)x)];

    /// <summary>Numbers that agree to 1e-5 of their size, and to some millionths of the largest.</summary>
    public static void Close(string name, double[] expected, double[] ours, List<string> faults)
    {
        if (expected.Length != ours.Length)
        {
            faults.Add($"{name}: {ours.Length} numbers for {expected.Length}");
            return;
        }
        var largest = expected.Length == 0 ? 0 : expected.Max(Math.Abs);
        for (var i = 0; i < expected.Length; i++)
        {
            if (Math.Abs(expected[i] - ours[i]) <= (1e-5 * Math.Abs(expected[i])) + (2e-6 * largest)) continue;
            faults.Add($"{name}[{i}]: {ours[i]} for {expected[i]}");
            return;
        }
    }

    /// <summary>Numbers that agree to a share of the largest.</summary>
    public static void Within(string name, double[] expected, double[] ours, (double Share, List<string> Faults) limit)
    {
        var largest = expected.Max(Math.Abs);
        var worst = expected.Length == ours.Length ? expected.Zip(ours, (a, b) => Math.Abs(a - b)).Max() : double.PositiveInfinity;
        if (worst <= limit.Share * largest) return;
        limit.Faults.Add($"{name}: {worst / largest:G3} of the largest, {ours.Length} numbers for {expected.Length}");
    }

    public static Tensor Labels(long rows, long classes) => arange(rows, ScalarType.Int64).remainder(classes);

    public static Tensor CrossEntropy(Tensor scores, Tensor labels) => nn.functional.cross_entropy(scores, labels);
}
