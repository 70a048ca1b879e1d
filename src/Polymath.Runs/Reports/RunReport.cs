using System.Text.Json;
using System.Text.Json.Serialization;
using Polymath.Recipes;

namespace Polymath.Runs.Reports;

/// <summary>The report of a run, as stored in <c>report.json</c>.</summary>
/// <param name="Name">The recipe's name.</param>
/// <param name="Recipe">The recipe's description.</param>
/// <param name="Seed">The seed.</param>
/// <param name="UnigramPerplexity">The perplexity of a unigram model on the first perplexity ability; null when there is none.</param>
/// <param name="MajorityAccuracy">The share of held-out rows with the most frequent label; null without a task.</param>
/// <param name="Baselines">The results of simple methods. <c>author: naive Bayes</c> belongs to the ability <c>author</c> and is shown next
/// to it.</param>
/// <param name="Stages">The stages, in the order they ran.</param>
/// <param name="Abilities">The abilities at the start and after each stage.</param>
/// <param name="Samples">Answers after each stage.</param>
/// <param name="Environment">The hardware and software of the run.</param>
/// <param name="Next">What to try next, in sentences.</param>
public sealed record RunReport(
    string Name,
    string Recipe,
    int Seed,
    double? UnigramPerplexity,
    double? MajorityAccuracy,
    IReadOnlyDictionary<string, double>? Baselines,
    IReadOnlyList<StageReport> Stages,
    IReadOnlyList<AbilityRow> Abilities,
    IReadOnlyList<SampleReport> Samples,
    EnvironmentReport Environment,
    IReadOnlyList<string> Next)
{
    /// <summary>The visit that is trained now; null where the run is over.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public LiveStage? Live { get; init; }

    /// <summary>The best and the worst answers of the rounds of stages that sample, by visit; null for none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyDictionary<string, IReadOnlyList<RoundAnswers>>? Rounds { get; init; }

    /// <summary>
    /// The report as JSON; values that are not finite numbers are written as <c>"NaN"</c>, <c>"Infinity"</c> and <c>"-Infinity"</c>.
    /// </summary>
    public string ToJson() => JsonSerializer.Serialize(this, ReportJson.Layout.RunReport);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <param name="json">The text.</param>
    /// <exception cref="InputException">The text is not a report.</exception>
    public static RunReport Parse(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            return JsonSerializer.Deserialize(json, ReportJson.Layout.RunReport) ?? throw new JsonException("it is null");
        }
        catch (JsonException exception)
        {
            throw new InputException(
                $"This is not a report of a run: {exception.Message} Run the recipe again to write it.",
                exception);
        }
    }
}

/// <summary>A visit of a stage that is trained now.</summary>
/// <param name="Name">The visit.</param>
/// <param name="Kind">What it learns.</param>
/// <param name="Step">The steps done when this was written.</param>
/// <param name="Steps">Its steps.</param>
/// <param name="Rows">What became of its rows; null where it samples its own.</param>
public sealed record LiveStage(
    string Name,
    string Kind,
    int Step,
    int Steps,
    RowCounts? Rows);

/// <summary>An answer of the model.</summary>
/// <param name="After">The stage after which it was given.</param>
/// <param name="Prompt">The question; empty for free text.</param>
/// <param name="Answer">The answer.</param>
public sealed record SampleReport(string After, string Prompt, string Answer);
