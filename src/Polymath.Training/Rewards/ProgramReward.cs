using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>
/// A program of the user's own, which reads answers and writes scores as lines of JSON. Several may run at once. An answer that it fails on
/// gets the declared reward or none; the failures are counted by their reason.
/// </summary>
/// <param name="spec">The command and its limits.</param>
/// <param name="baseFolder">The folder that it runs in.</param>
public sealed class ProgramReward(ProgramRewardSpec spec, string baseFolder) : Reward
{
    private readonly ProgramWorker[] workers =
        [.. Enumerable.Range(0, spec.Workers).Select(_ => new ProgramWorker(spec.Command, baseFolder, TimeSpan.FromSeconds(spec.Seconds)))];

    private readonly ConcurrentDictionary<string, int> failures = new();

    /// <inheritdoc/>
    public override IReadOnlyList<double> Scores(IReadOnlyList<AskedAnswer> answers, CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(answers);
        var scores = new double[answers.Count];
        var next = -1;
        // Which worker scores an answer does not matter: each answer has a place of its own.
        var running = workers.Select(worker => Task.Run(
            () =>
            {
                for (int at; (at = Interlocked.Increment(ref next)) < answers.Count;)
                {
                    stop.ThrowIfCancellationRequested();
                    scores[at] = Score(worker, answers[at], stop);
                }
            },
            CancellationToken.None)).ToArray();
        Task.WhenAll(running).GetAwaiter().GetResult();
        return scores;
    }

    private double Score(ProgramWorker worker, AskedAnswer answer, CancellationToken stop)
    {
        var line = new JsonObject
        {
            ["prompt"] = answer.Prompt,
            ["answer"] = answer.Answer,
            ["fields"] = new JsonObject(answer.Fields.Select(field => KeyValuePair.Create(field.Key, (JsonNode?)field.Value))),
        };
        var (said, failure) = worker.Ask(line.ToJsonString(JsonLayout.Line), stop);
        if (failure is null && Understood(said!, out var score)) return score;
        failures.AddOrUpdate(failure ?? $"wrote a line that is no {{\"score\": NUMBER}}: {Short(said!)}", 1, (_, count) => count + 1);
        return spec.Failure ?? double.NaN;
    }

    private static bool Understood(string line, out double score)
    {
        score = double.NaN;
        try
        {
            if (JsonNode.Parse(line) is not JsonObject said || !said.TryGetPropertyValue("score", out var value)) return false;
            if (value is null) return true;
            if (value.GetValueKind() != JsonValueKind.Number) return false;
            score = value.GetValue<double>();
            return double.IsFinite(score);
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static string Short(string text) => text.Length <= 60 ? text : text[..60] + "...";

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> Failures()
    {
        var found = failures.ToDictionary();
        failures.Clear();
        return found;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            foreach (var worker in workers) worker.Dispose();
        base.Dispose(disposing);
    }
}
