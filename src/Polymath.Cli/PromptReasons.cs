using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Tuning.Prompts;

namespace Polymath.Cli;

/// <summary>Shows why prompts name a label.</summary>
internal static class PromptReasons
{
    private const int MostWords = 5;

    /// <summary>What each prompt says, with all words of the label that the task names.</summary>
    /// <param name="names">The labels.</param>
    /// <param name="reasons">What the prompts say.</param>
    /// <param name="asked">What is asked: <c>template</c>, or <c>stage</c>.</param>
    internal static JsonArray Json(IReadOnlyList<string> names, IReadOnlyList<PromptReason> reasons, string asked) =>
    [
        .. reasons.Select(reason => (JsonNode)new JsonObject
        {
            [asked] = reason.Template,
            ["share"] = Math.Round(reason.Share, 6),
            ["probabilities"] = Numbers(names.Zip(reason.Probabilities)),
            ["words"] = Numbers(reason.Words.Select(word => (word.Word, word.Probability))),
        }),
    ];

    private static JsonObject Numbers(IEnumerable<(string Name, double Value)> pairs) =>
        new(pairs.DistinctBy(pair => pair.Name).Select(pair => KeyValuePair.Create(pair.Name, (JsonNode?)Math.Round(pair.Value, 6))));

    /// <summary>Prints what each prompt says of the label that the task names.</summary>
    /// <param name="names">The labels.</param>
    /// <param name="answer">The probabilities of the labels.</param>
    /// <param name="reasons">What the prompts say.</param>
    internal static void Tell(IReadOnlyList<string> names, LabelledAnswer answer, IReadOnlyList<PromptReason> reasons)
    {
        if (reasons.Count == 0) return;
        var best = answer.Scores.Index().MaxBy(pair => pair.Item).Index;
        foreach (var reason in reasons)
        {
            Console.WriteLine($"{names[best]} {reason.Probabilities[best]:F4}, share {reason.Share:F2}: {reason.Template}");
            if (reason.Words.Count > 0)
                Console.WriteLine("  " + string.Join(
                    ", ", reason.Words.Take(MostWords).Select(word => $"{word.Word} {word.Probability:F4}")));
        }
    }
}
