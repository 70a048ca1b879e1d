using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Polymath.Recipes;
using Polymath.Runs;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath votes FILE</c>: counts what people preferred, and writes it as rows of training data.</summary>
internal static class VotesVerb
{
    internal static Command Make()
    {
        var file = new Argument<string>("file") { Description = "The file that `polymath label` has written." };
        var export = new Option<string?>("--export") { Description = "Writes the votes to this file as rows of training data (JSONL)." };
        var what = new Option<VotedRows>("--what")
        {
            Description = "What is written: pairs (better and worse), judged (good or bad), or edits (what people wrote instead).",
            DefaultValueFactory = _ => VotedRows.Pairs,
        };
        var force = new Option<bool>("--force") { Description = "Overwrites the file that --export names." };
        var json = new Option<bool>("--json") { Description = "Prints one JSON object." };
        var command = new Command("votes", "Counts what people preferred, and writes it as rows of training data.")
        {
            file, export, what, force, json,
        };
        command.SetAction(parsed => Outcome.Of(() =>
        {
            using var store = VoteStore.Read(parsed.GetRequiredValue(file));
            if (parsed.GetValue(export) is { } target) Export(store, parsed.GetValue(what), target, parsed.GetValue(force));
            else Tell(store, parsed.GetValue(json));
            return Outcome.Done;
        }));
        return command;
    }

    private static void Export(VoteStore store, VotedRows what, string target, bool force)
    {
        if (File.Exists(target) && !force)
            throw new InputException($"{target} is there already. Give another name, or --force to overwrite it.");
        var rows = VoteRows.Of(store, what);
        if (rows.Count == 0)
            throw new InputException($"Nobody has voted so that there are {what.ToString().ToLowerInvariant()}. Nothing is written.");
        AtomicFile.WriteText(target, string.Concat(rows.Select(row => JsonSerializer.Serialize(row, JsonLayout.RecordLine) + "\n")));
        Console.WriteLine($"{rows.Count:N0} rows: {target}");
    }

    private static void Tell(VoteStore store, bool json)
    {
        var votes = store.Votes();
        var (sides, agreements) = (VoteCount.Sides(votes), VoteCount.Agreements(votes));
        var said = Enum.GetValues<Verdict>().ToDictionary(
            verdict => verdict.ToString().ToLowerInvariant(), verdict => votes.Count(vote => vote.Verdict == verdict));
        var wins = Wins(votes);
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(
                new
                {
                    votes = votes.Count,
                    verdicts = said,
                    pairs = store.Pairs().Count,
                    edits = store.Edits().Count,
                    left = new { votes = sides.Votes, share = Known(sides.Left), probability = Known(sides.Probability) },
                    agreements = agreements.Select(one => new
                    {
                        one = one.One,
                        other = one.Other,
                        pairs = one.Pairs,
                        share = one.Share,
                        kappa = Known(one.Kappa),
                    }),
                    wins = wins.Select(one => new { model = one.Name, won = one.Won, of = one.Of }),
                },
                JsonLayout.Indented));
            return;
        }
        Console.WriteLine($"{votes.Count:N0} votes by {string.Join(", ", votes.Select(vote => vote.Rater).Distinct())}: "
            + string.Join(", ", said.Where(pair => pair.Value > 0).Select(pair => $"{pair.Key} {pair.Value:N0}")));
        Console.WriteLine($"{store.Pairs().Count:N0} pairs of which one answer is preferred, {store.Edits().Count:N0} answers that people "
            + "wrote");
        if (votes.Count > 0)
            Console.WriteLine($"a vote took {Median([.. votes.Select(vote => vote.Seconds)]):F1} s (median)");
        if (sides.Votes > 0)
            Console.WriteLine($"left was preferred in {sides.Left:P0} of {sides.Votes:N0} votes (by chance: p = "
                + $"{sides.Probability.ToString("G2", CultureInfo.InvariantCulture)})"
                + (sides.Probability < 0.05 ? "; people prefer a side, whatever stands there: look at how they vote" : ""));
        foreach (var one in agreements)
            Console.WriteLine($"{one.One} and {one.Other} agree on {one.Share:P0} of {one.Pairs:N0} pairs"
                + (double.IsNaN(one.Kappa) ? "" : $", κ = {one.Kappa.ToString("F2", CultureInfo.InvariantCulture)}"));
        foreach (var (name, won, of) in wins)
            Console.WriteLine($"{name} won {won:N0} of {of:N0} votes against another model");
    }

    // How often each of two different models won; a tie counts for none.
    private static List<ModelWins> Wins(IReadOnlyList<Vote> votes)
    {
        var between = votes.Where(vote => vote.LeftBy != vote.RightBy && vote.Verdict is (Verdict.Left or Verdict.Right)).ToList();
        return
        [
            .. between.SelectMany(vote => new[] { vote.LeftBy, vote.RightBy }).Distinct().Order(StringComparer.Ordinal)
                .Select(name => new ModelWins(
                name,
                between.Count(vote => (vote.Verdict == Verdict.Left ? vote.LeftBy : vote.RightBy) == name),
                between.Count(vote => vote.LeftBy == name || vote.RightBy == name))),
        ];
    }

    private static double? Known(double value) => double.IsNaN(value) ? null : value;

    private static double Median(double[] values)
    {
        Array.Sort(values);
        return values[values.Length / 2];
    }
}

/// <summary>How often a model won against another one.</summary>
/// <param name="Name">The model's digests.</param>
/// <param name="Won">The votes for it.</param>
/// <param name="Of">The votes on it that were for one side.</param>
internal sealed record ModelWins(string Name, int Won, int Of);
