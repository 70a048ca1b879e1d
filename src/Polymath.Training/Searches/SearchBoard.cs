using System.Globalization;
using System.Text;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Training.Searches;

/// <summary>A candidate of a search: a template, its label words, and how well a model answers by them.</summary>
/// <param name="Template">The template, in the language of recipes.</param>
/// <param name="Words">The words of each label.</param>
/// <param name="Accuracy">The share of right rows of the development split.</param>
/// <param name="Loss">The mean −log p of the right label's words there, among all tokens.</param>
/// <param name="Found">What the search itself says of it: a log-likelihood, a share of training rows.</param>
/// <param name="From">Where it is from: a restart, a form of the question.</param>
public sealed record SearchCandidate(
    string Template,
    IReadOnlyDictionary<string, IReadOnlyList<string>> Words,
    double Accuracy,
    double Loss,
    double Found,
    string From);

/// <summary>The candidates of a search with their scores, the best first, and the files that a search leaves.</summary>
public static class SearchBoard
{
    /// <summary>The files of a search's folder.</summary>
    public const string Leaderboard = "leaderboard.json", Table = "leaderboard.md", State = "search.json", Best = "found.yaml";

    /// <summary>The best first: by accuracy, then by loss, then by text, so that the order is the same each time.</summary>
    /// <param name="candidates">The candidates; of those that are asked alike one is kept.</param>
    public static IReadOnlyList<SearchCandidate> Ranked(IEnumerable<SearchCandidate> candidates) =>
    [
        .. candidates.OrderByDescending(one => one.Accuracy).ThenBy(one => one.Loss).ThenBy(one => one.Template, StringComparer.Ordinal)
            .DistinctBy(one => (one.Template, WordsOf(one))),
    ];

    private static string WordsOf(SearchCandidate one) =>
        string.Join("; ", one.Words.Select(pair => $"{pair.Key}: {string.Join(", ", pair.Value)}"));

    /// <summary>Writes the leaderboard, and the best templates as files that a recipe names.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="candidates">The candidates.</param>
    /// <param name="kept">How many are kept as files, for an ensemble.</param>
    public static IReadOnlyList<SearchCandidate> Write(string folder, IEnumerable<SearchCandidate> candidates, int kept)
    {
        var ranked = Ranked(candidates);
        AtomicFile.WriteText(Path.Combine(folder, Leaderboard), JsonSerializer.Serialize(ranked, JsonLayout.IndentedRecord) + "\n");
        AtomicFile.WriteText(Path.Combine(folder, Table), Lines(ranked));
        foreach (var (one, i) in ranked.Take(kept).Select((one, i) => (one, i)))
            AtomicFile.WriteText(Path.Combine(folder, i == 0 ? Best : $"found-{i + 1}.yaml"), Yaml(one));
        return ranked;
    }

    private static string Lines(IReadOnlyList<SearchCandidate> ranked)
    {
        var text = new StringBuilder("| accuracy | loss | found | from | template | words |\n|---|---|---|---|---|---|\n");
        string Cell(string value) => value.Replace("|", "\\|", StringComparison.Ordinal).ReplaceLineEndings("\\n");
        foreach (var one in ranked)
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {one.Accuracy:0.####} | {one.Loss:0.####} | {one.Found:0.####} | {Cell(one.From)} | {Cell(one.Template)} | ")
                .Append(Cell(WordsOf(one))).Append(" |\n");
        return text.ToString();
    }

    // JSON texts are YAML's quoted ones.
    private static string Yaml(SearchCandidate one)
    {
        string Quoted(string value) => JsonSerializer.Serialize(value, JsonLayout.Line);
        var words = one.Words.Select(pair => $"    {Quoted(pair.Key)}: [{string.Join(", ", pair.Value.Select(Quoted))}]\n");
        return string.Create(
            CultureInfo.InvariantCulture,
            $"# accuracy {one.Accuracy:0.####} on the development split\ntemplate: {Quoted(one.Template)}\nverbalizer:\n  words:\n")
            + string.Concat(words);
    }
}
