using System.Globalization;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Runs;

/// <summary>The best and the worst answer of a round of sampling.</summary>
/// <param name="Round">The round, from 1.</param>
/// <param name="Best">The best one.</param>
/// <param name="Worst">The worst one.</param>
public sealed record RoundAnswers(int Round, RatedAnswer Best, RatedAnswer Worst)
{
    /// <summary>The rounds of a stage's folder, in order; none for one that samples nothing.</summary>
    /// <param name="folder">The stage's folder.</param>
    public static IReadOnlyList<RoundAnswers> Of(string folder)
    {
        var rollouts = Path.Combine(folder, "rollouts");
        if (!Directory.Exists(rollouts)) return [];
        var rounds = new List<RoundAnswers>();
        foreach (var file in Directory.GetFiles(rollouts, "round-*.jsonl").Order(StringComparer.Ordinal))
        {
            var scored = File.ReadLines(file).Select(line => JsonSerializer.Deserialize<RatedAnswer>(line, JsonLayout.RecordLine)!)
                .Where(answer => answer.Score is not null).ToList();
            if (scored.Count == 0) continue;
            var number = int.Parse(Path.GetFileNameWithoutExtension(file)["round-".Length..], CultureInfo.InvariantCulture);
            rounds.Add(new RoundAnswers(number, scored.MaxBy(answer => answer.Score)!, scored.MinBy(answer => answer.Score)!));
        }
        return rounds;
    }
}

/// <summary>An answer that was sampled and judged.</summary>
/// <param name="Prompt">What the user says.</param>
/// <param name="Answer">The answer.</param>
/// <param name="Rewards">What each reward said; null for nothing.</param>
/// <param name="Score">The weighted sum; null for none.</param>
public sealed record RatedAnswer(
    string Prompt,
    string Answer,
    IReadOnlyDictionary<string, double?> Rewards,
    double? Score);
