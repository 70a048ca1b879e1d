using Microsoft.Data.Sqlite;
using Polymath.Recipes;
using Polymath.Runs;
using Polymath.Tests.Text;

namespace Polymath.Tests.Runs;

/// <summary>The file of votes, and what is counted in it.</summary>
[Trait("kind", "unit")]
public sealed class VoteStoreTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    private string File => folder.At("votes.db");

    private static Vote Of(
        string prompt,
        string left,
        string right,
        Verdict verdict,
        string rater = "ada",
        string? edited = null) => new(
        prompt,
        left,
        right,
        verdict,
        edited,
        "row 1",
        null,
        "model:a",
        "model:b",
        "{\"temperature\":1}",
        rater,
        2.5,
        DateTimeOffset.FromUnixTimeSeconds(1_767_322_983));

    [Fact]
    public void A_vote_is_read_as_it_was_written()
    {
        var vote = Of("诗？\n\"it's\"", "", "b;--", Verdict.Bad, edited: "better") with { System = "be brief" };
        using (var store = VoteStore.Open(File)) store.Append(vote);
        using (var store = VoteStore.Open(File)) store.Append(vote with { Rater = "bo" });
        using var again = VoteStore.Read(File);
        Assert.Equal([vote, vote with { Rater = "bo" }], again.Votes());
    }

    [Theory]
    [InlineData("UPDATE votes SET verdict = 'left'", "appended, never changed")]
    [InlineData("DELETE FROM votes", "appended, never removed")]
    public void The_file_itself_refuses_changes(string statement, string message)
    {
        using (var store = VoteStore.Open(File)) store.Append(Of("p", "a", "b", Verdict.Right));
        using var connection = new SqliteConnection($"Data Source={File};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = statement;
        Assert.Contains(message, Assert.Throws<SqliteException>(() => command.ExecuteNonQuery()).Message);
        using var read = VoteStore.Read(File);
        Assert.Equal(Verdict.Right, Assert.Single(read.Votes()).Verdict);
    }

    [Fact]
    public void Another_file_is_refused_and_kept()
    {
        folder.Write("votes.db", "this is no database, but a text that somebody wants to keep, and it is long enough to be looked at");
        var before = System.IO.File.ReadAllBytes(File);
        Assert.Contains("cannot be opened as a file of votes", Assert.Throws<InputException>(() => VoteStore.Open(File)).Message);
        Assert.Equal(before, System.IO.File.ReadAllBytes(File));
        using (var connection = new SqliteConnection($"Data Source={folder.At("other.db")};Pooling=False"))
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "CREATE TABLE mine (x)";
            command.ExecuteNonQuery();
        }
        Assert.Contains("file of another program", Assert.Throws<InputException>(() => VoteStore.Open(folder.At("other.db"))).Message);
        Assert.Contains("There is no file", Assert.Throws<InputException>(() => VoteStore.Read(folder.At("none.db"))).Message);
    }

    [Fact]
    public void Opposed_votes_are_counted_together_whatever_side_the_answers_stood_on()
    {
        Vote[] votes =
        [
            Of("p", "a", "b", Verdict.Left),
            Of("p", "b", "a", Verdict.Right, "bo"),
            Of("p", "a", "b", Verdict.Right, "cy"),
            Of("q", "x", "y", Verdict.Left),
            Of("q", "x", "y", Verdict.Right, "bo"),
            Of("r", "m", "n", Verdict.Tie),
            // A person who votes again has thought again.
            Of("s", "u", "v", Verdict.Left),
            Of("s", "v", "u", Verdict.Left),
        ];
        Assert.Equal(
            [new PreferredPair("p", null, "a", "b", 2, 1), new PreferredPair("s", null, "v", "u", 1, 0)], VoteCount.Pairs(votes));
    }

    [Fact]
    public void Answers_are_good_or_bad_by_the_majority()
    {
        Vote[] votes =
        [
            Of("p", "a", "b", Verdict.Left),
            Of("q", "c", "d", Verdict.Bad),
            Of("r", "e", "f", Verdict.Tie),
            Of("s", "g", "h", Verdict.Left),
            Of("s", "g", "h", Verdict.Right, "bo"),
            Of("t", "i", "j", Verdict.Skip),
        ];
        Assert.Equal(
            [("a", true), ("b", false), ("c", false), ("d", false), ("e", true), ("f", true)],
            VoteCount.Judged(votes).Select(answer => (answer.Answer, answer.IsGood)));
    }

    [Fact]
    public void The_last_answer_that_a_person_wrote_counts()
    {
        Vote[] votes =
        [
            Of("p", "a", "b", Verdict.Bad, edited: "first"),
            Of("p", "a", "b", Verdict.Bad, edited: "second"),
            Of("p", "a", "b", Verdict.Bad, "bo", "third"),
        ];
        Assert.Equal(["second", "third"], VoteCount.Edits(votes).Select(edit => edit.Answer));
    }

    // 50 pairs, of which both say yes to 20 and no to 15: p_o = 0.7, p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5, so κ = 0.4.
    [Fact]
    public void Agreement_is_cohens_kappa()
    {
        List<Verdict> one = [], other = [];
        foreach (var (a, b, n) in new[]
        {
            (Verdict.Left, Verdict.Left, 20), (Verdict.Left, Verdict.Right, 5), (Verdict.Right, Verdict.Left, 10),
            (Verdict.Right, Verdict.Right, 15),
        })
        {
            one.AddRange(Enumerable.Repeat(a, n));
            other.AddRange(Enumerable.Repeat(b, n));
        }
        Assert.Equal(0.4, VoteCount.Kappa(one, other), 1e-12);
        Assert.Equal(1, VoteCount.Kappa(one, one), 1e-12);
        Assert.True(double.IsNaN(VoteCount.Kappa([], [])));
        Assert.True(double.IsNaN(VoteCount.Kappa([Verdict.Tie], [Verdict.Tie])));
    }

    [Fact]
    public void People_are_compared_on_the_pairs_that_both_saw()
    {
        Vote[] votes =
        [
            Of("p", "a", "b", Verdict.Left),
            Of("p", "b", "a", Verdict.Right, "bo"),
            Of("q", "c", "d", Verdict.Left),
            Of("q", "c", "d", Verdict.Right, "bo"),
            Of("r", "e", "f", Verdict.Left),
        ];
        Assert.Equal([new Agreement("ada", "bo", 2, 0.5, 0)], VoteCount.Agreements(votes));
    }

    // Of 10 votes 9 for the left: 2 * (C(10, 9) + C(10, 10)) / 2^10 = 22 / 1024.
    [Fact]
    public void A_side_that_is_preferred_is_told()
    {
        Vote[] votes = [.. Enumerable.Range(0, 11).Select(i => Of($"{i}", "a", "b", i switch
        {
            0 => Verdict.Right,
            10 => Verdict.Tie,
            _ => Verdict.Left,
        }))];
        var sides = VoteCount.Sides(votes);
        Assert.Equal((10, 0.9), (sides.Votes, sides.Left));
        Assert.Equal(22.0 / 1024, sides.Probability, 1e-9);
        Assert.Equal(1, VoteCount.Sides([Of("p", "a", "b", Verdict.Left), Of("q", "a", "b", Verdict.Right)]).Probability, 1e-9);
    }

    public void Dispose() => folder.Dispose();
}
