using System.Text.Json.Nodes;
using Polymath.Runs;

namespace Polymath.Tests.Cli;

/// <summary>A person compares answers in the terminal, and the votes become rows.</summary>
[Collection(FinishedRun.Collection)]
[Trait("kind", "unit")]
public sealed class LabelTests(FinishedRun finished)
{
    private CliResult Label(string votes, string keys, params string[] more) => CliProgram.Say(
        finished.Recipe.Path,
        keys,
        ["label", "whole", "--votes", votes, "--rater", "ada", "--temperature", "1", "--max-new-tokens", "8", "--seed", "3", .. more]);

    [Fact]
    public void Votes_are_kept_with_what_was_shown_and_no_prompt_is_asked_twice()
    {
        var first = Label("ada.db", "1\nx\n2\ne\nmy own\nanswer\n\nb\nq\n");
        Assert.True(first.Code == 0, first.All);
        Assert.Contains("3 votes kept", first.Out);
        using (var store = VoteStore.Read(finished.Recipe.At("ada.db")))
        {
            var votes = store.Votes();
            Assert.Equal([Verdict.Left, Verdict.Right, Verdict.Bad], votes.Select(vote => vote.Verdict));
            Assert.Equal("my own\nanswer", votes[2].Edited);
            Assert.All(votes, vote => Assert.Matches("^say .+", vote.Prompt));
            Assert.All(votes, vote => Assert.Matches("^model:[0-9a-f]{16}$", vote.LeftBy));
            Assert.All(votes, vote => Assert.NotEqual(vote.Left, vote.Right));
            Assert.Contains($"[1] {votes[0].Left}\n[2] {votes[0].Right}", first.Out);
            Assert.Equal(8, JsonNode.Parse(votes[0].Sampling)!["maxNewTokens"]!.GetValue<int>());
        }
        var second = Label("ada.db", "t\n", "--count", "1");
        Assert.Contains("1 votes kept", second.Out);
        using var after = VoteStore.Read(finished.Recipe.At("ada.db"));
        Assert.Equal(4, after.Votes().Select(vote => vote.Prompt).Distinct().Count());
        var told = CliProgram.Run(finished.Recipe.Path, "votes", "ada.db");
        Assert.Contains("4 votes by ada: left 1, right 1, tie 1, bad 1", told.Out);
        Assert.Contains("left was preferred in 50", told.Out);
        Assert.Equal(0, CliProgram.Run(finished.Recipe.Path, "votes", "ada.db", "--export", "pairs.jsonl").Code);
        Assert.Equal(2, File.ReadLines(finished.Recipe.At("pairs.jsonl")).Count());
        Assert.Contains(
            "is there already", CliProgram.Run(finished.Recipe.Path, "votes", "ada.db", "--export", "pairs.jsonl").Error);
        var edits = CliProgram.Run(finished.Recipe.Path, "votes", "ada.db", "--export", "edits.jsonl", "--what", "edits");
        Assert.Equal("1 rows: edits.jsonl\n", edits.Out);
    }

    [Fact]
    public void Two_models_are_compared_without_their_names()
    {
        var write = finished.Recipe.At("whole", "stages", "02-write", "model");
        finished.Recipe.Write("prompts.txt", "say ama\n\nsay bat\n");
        var said = Label("two.db", "1\n1\n", "--against", write, "--prompts", "prompts.txt");
        Assert.True(said.Code == 0, said.All);
        using (var store = VoteStore.Read(finished.Recipe.At("two.db")))
            Assert.All(store.Votes(), vote => Assert.NotEqual(vote.LeftBy, vote.RightBy));
        var told = JsonNode.Parse(CliProgram.Run(finished.Recipe.Path, "votes", "two.db", "--json").Out)!;
        Assert.Equal(2, told["wins"]!.AsArray().Count);
        Assert.Equal(2, told["wins"]!.AsArray().Sum(one => one!["won"]!.GetValue<int>()));
    }

    [Theory]
    [InlineData("there is no such file", "--prompts", "none.txt")]
    [InlineData("--count is 0", "--count", "0")]
    public void What_cannot_be_asked_is_told(string message, params string[] more)
    {
        var said = Label("none.db", "q\n", more);
        Assert.Equal(2, said.Code);
        Assert.Contains(message, said.Error);
    }

    [Fact]
    public void One_model_without_chance_has_nothing_to_compare()
    {
        var cold = CliProgram.Run(finished.Recipe.Path, "label", "whole", "--temperature", "0");
        Assert.Equal(2, cold.Code);
        Assert.Contains("gives the same answer twice", cold.Error);
    }
}
