using System.Globalization;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Training.Rollouts;

/// <summary>The files of a stage's rounds: <c>rollouts/round-001.jsonl</c>, an answer a line.</summary>
internal static class RolloutFiles
{
    /// <summary>Their folder in the stage's.</summary>
    internal const string Folder = "rollouts";

    /// <summary>A round's file.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="round">The round, from 0.</param>
    internal static string Of(string folder, int round) => Path.Combine(folder, $"round-{round + 1:D3}.jsonl");

    /// <summary>A round's answers.</summary>
    /// <param name="file">Its file.</param>
    internal static List<SampledAnswer> ReadRound(string file) =>
        [.. File.ReadLines(file).Select(line => JsonSerializer.Deserialize<SampledAnswer>(line, JsonLayout.RecordLine)!)];

    /// <summary>Writes a round.</summary>
    /// <param name="file">Its file.</param>
    /// <param name="answers">The answers.</param>
    internal static void Write(string file, IReadOnlyList<SampledAnswer> answers) => AtomicFile.WriteText(
        file, string.Concat(answers.Select(answer => JsonSerializer.Serialize(answer, JsonLayout.RecordLine) + "\n")));

    /// <summary>All answers of a stage, with their rounds, from 1, in order.</summary>
    /// <param name="folder">The folder; one that is missing has none.</param>
    internal static IEnumerable<(int Round, SampledAnswer Answer)> ReadAll(string folder)
    {
        if (!Directory.Exists(folder)) yield break;
        foreach (var file in Directory.GetFiles(folder, "round-*.jsonl").Order(StringComparer.Ordinal))
        {
            var round = int.Parse(Path.GetFileNameWithoutExtension(file)["round-".Length..], CultureInfo.InvariantCulture);
            foreach (var answer in ReadRound(file)) yield return (round, answer);
        }
    }
}
