using CsCheck;
using Polymath.Tests.Models;
using Polymath.Text.Packing;
using Polymath.Training;
using Polymath.Training.Objectives;
using Polymath.Training.Stages;

namespace Polymath.Tests.Training;

/// <summary>Rows that documents fill, and items of several sources in shares.</summary>
[Trait("kind", "invariant")]
public sealed class FilledRowTests
{
    private static List<TokenRow> Fill(int length, IEnumerable<(int[] Ids, string Data)> documents)
    {
        var filled = new FilledRows(length);
        var rows = new List<TokenRow>();
        foreach (var (ids, data) in documents)
            rows.AddRange(filled.Add(new TokenRow(ids, [.. ids.Select(_ => 1f)], "x", data)));
        if (filled.Rest() is { } rest)
            rows.Add(rest);
        return rows;
    }

    [Fact]
    public void Rows_are_full_and_every_token_but_the_first_is_a_target_once() =>
        Gen.Select(Gen.Int[1, 12].Array[1, 20], Gen.Int[2, 9]).Sample((lengths, length) =>
        {
            var next = 0;
            var documents = lengths.Select(count => Enumerable.Range(0, count).Select(_ => next++).ToArray()).ToList();
            var rows = Fill(length, documents.Select(ids => (ids, "a")));
            Assert.All(rows.SkipLast(1), row => Assert.Equal(length, row.Length));
            Assert.All(rows, row => Assert.InRange(row.Length, 2, length));
            Assert.Equal(Enumerable.Range(1, Math.Max(0, next - 1)), rows.SelectMany(row => row.Ids.Skip(1)));
        }, iter: 300, threads: 1);

    [Fact]
    public void Rows_of_different_sources_stay_apart()
    {
        var rows = Fill(4, [([1, 2, 3], "a"), ([4, 5], "a"), ([6, 7, 8, 9, 10], "b")]);
        Assert.Equal(["a", "a", "b", "b"], rows.Select(row => row.Data));
        Assert.Equal([[1, 2, 3, 4], [4, 5], [6, 7, 8, 9], [9, 10]], rows.Select(row => row.Ids));
    }

    private static MixedItems Mixed(IReadOnlyDictionary<string, double> shares, params (string Name, int Count)[] sources) => new(
        [.. sources.SelectMany(source => Enumerable.Range(0, source.Count)
            .Select(i => new Item([Toy.Row(3, i) with { Data = source.Name, Source = $"{source.Name}{i}" }])))],
        shares,
        1,
        "x");

    [Fact]
    public void Sources_are_read_in_their_shares_and_each_evenly()
    {
        var source = Mixed(new Dictionary<string, double> { ["a"] = 3 }, ("a", 5), ("b", 35));
        Assert.Equal(40, source.Count);
        var read = new List<string>();
        for (var epoch = 0; epoch < 4; epoch++)
            while (source.Cursor.Epoch == epoch)
                read.AddRange(source.Take(9).Select(item => item.Rows[0].Source));
        // Three quarters of 160 are a's, each item 24 times; b's 40 are one pass and five more.
        var times = read.GroupBy(name => name).ToDictionary(group => group.Key, group => group.Count());
        Assert.All(Enumerable.Range(0, 5), i => Assert.Equal(24, times[$"a{i}"]));
        Assert.Equal(40, times.Where(pair => pair.Key[0] == 'b').Sum(pair => pair.Value));
        Assert.All(times.Where(pair => pair.Key[0] == 'b'), pair => Assert.InRange(pair.Value, 1, 2));
        Assert.Equal(35, times.Count(pair => pair.Key[0] == 'b'));
    }

    [Fact]
    public void A_cursor_finds_its_place_in_a_mix_again()
    {
        var shares = new Dictionary<string, double> { ["a"] = 2 };
        MixedItems one = Mixed(shares, ("a", 4), ("b", 7)), two = Mixed(shares, ("a", 4), ("b", 7));
        for (var i = 0; i < 5; i++)
            one.Take(9);
        two.Cursor = one.Cursor;
        for (var i = 0; i < 9; i++)
            Assert.Equal(one.Take(9).Select(item => item.Rows[0].Source), two.Take(9).Select(item => item.Rows[0].Source));
    }
}
