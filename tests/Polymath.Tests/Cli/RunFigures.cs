using System.Text.Json.Nodes;

namespace Polymath.Tests.Cli;

/// <summary>The figures that a run wrote down.</summary>
internal static class RunFigures
{
    private static readonly string[] clock = ["time", "tokensPerSecond", "memoryMegabytes"];

    /// <summary>The lines of a <c>metrics.jsonl</c> without what depends on the clock and the machine.</summary>
    /// <param name="file">The file.</param>
    internal static List<string> Of(string file) => [.. File.ReadLines(file).Select(line =>
    {
        var record = JsonNode.Parse(line)!.AsObject();
        foreach (var key in clock)
            record.Remove(key);
        return record.ToJsonString();
    })];
}
