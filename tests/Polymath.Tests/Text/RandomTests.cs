using CsCheck;
using Polymath.Text;
using Polymath.Text.Packing;

namespace Polymath.Tests.Text;

/// <summary>Random numbers that depend on their purpose, and orders with separately computed places.</summary>
[Trait("kind", "unit")]
public sealed class RandomTests
{
    private static List<ulong> Bits(RandomStream stream) => [.. Enumerable.Range(0, 5).Select(_ => stream.NextBits())];

    [Fact]
    public void A_stream_depends_on_seed_purpose_and_indices_alone()
    {
        var streams = new[]
        {
            Bits(new(1, "a")), Bits(new(2, "a")), Bits(new(1, "b")), Bits(new(1, "a", 0)), Bits(new(1, "a", 1)), Bits(new(1, "a", 0, 0)),
            Bits(new(1, "a", 1, 2)), Bits(new(1, "a", 2, 1)), Bits(new(1, "")),
        };
        Assert.Equal(streams.Length, streams.Select(bits => bits[0]).Distinct().Count());
        Assert.Equal(streams[6], Bits(new(1, "a", 1, 2)));
        Assert.Equal(5, streams[0].Distinct().Count());
    }

    [Fact]
    public void The_numbers_are_those_that_old_runs_were_made_with()
    {
        // These values must not change: another generator would give every recipe another model.
        var stream = new RandomStream(7, "model.embed_tokens.weight");
        Assert.Equal(Frozen, $"{stream.NextBits():x16} {stream.Next(1000)} {stream.NextDouble():R} {stream.NextNormal():F12}");
    }

    private const string Frozen = "0df25e0d039d9b55 877 0.8592691272028361 -0.887818730277";

    [Fact]
    public void Numbers_are_spread_as_they_should_be()
    {
        var stream = new RandomStream(3, "spread");
        const int Count = 50000;
        var counts = new int[7];
        double sum = 0, squares = 0, uniform = 0;
        for (var i = 0; i < Count; i++)
        {
            counts[stream.Next(7)]++;
            var normal = stream.NextNormal();
            sum += normal;
            squares += normal * normal;
            var number = stream.NextDouble();
            Assert.InRange(number, 0, 1 - 1e-17);
            uniform += number;
        }
        Assert.All(counts, count => Assert.Equal(1 / 7.0, (double)count / Count, 0.01));
        Assert.Equal(0, sum / Count, 0.02);
        Assert.Equal(1, squares / Count, 0.03);
        Assert.Equal(0.5, uniform / Count, 0.01);
        Assert.Equal(0, new RandomStream(1, "x").Next(1));
    }

    [Fact]
    public void An_order_has_every_place_once()
    {
        foreach (var count in Enumerable.Range(1, 70).Concat([255, 256, 257, 1000, 4096, 4097]))
            for (var epoch = 0; epoch < 3; epoch++)
            {
                var order = new Permutation(count, 1, "x", epoch);
                Assert.Equal(Enumerable.Range(0, count), Enumerable.Range(0, count).Select(i => order[i]).Order());
            }
    }

    [Fact]
    public void Orders_differ_by_epoch_seed_and_purpose() =>
        Gen.Int[20, 5000].Sample(count =>
        {
            int[] Order(long seed, string purpose, long epoch)
            {
                var order = new Permutation(count, seed, purpose, epoch);
                return [.. Enumerable.Range(0, 20).Select(i => order[i])];
            }
            var orders = new[] { Order(1, "a", 0), Order(1, "a", 1), Order(2, "a", 0), Order(1, "b", 0) };
            Assert.Equal(4, orders.Select(order => string.Join(',', order)).Distinct().Count());
            Assert.Equal(orders[1], Order(1, "a", 1));
        }, iter: 50, threads: 1);

    [Fact]
    public void A_place_of_a_vast_order_is_found_at_once()
    {
        var order = new Permutation(int.MaxValue, 1, "vast", 9);
        var places = Enumerable.Range(0, 10000).Select(i => order[int.MaxValue - 1 - i]).ToList();
        Assert.Equal(places.Count, places.Distinct().Count());
        // Spread over the whole range: half of them below the middle.
        Assert.InRange(places.Count(place => place < int.MaxValue / 2), 4700, 5300);
        Assert.Throws<ArgumentOutOfRangeException>(() => order[-1]);
        Assert.Throws<ArgumentOutOfRangeException>(() => new Permutation(5, 1, "x", 0)[5]);
        Assert.Throws<ArgumentOutOfRangeException>(() => new Permutation(0, 1, "x", 0));
    }

    [Fact]
    public void A_neighbour_is_followed_by_another_one_in_the_order()
    {
        var order = new Permutation(1000, 5, "mix", 0);
        var neighbours = Enumerable.Range(0, 999).Count(i => Math.Abs(order[i] - order[i + 1]) == 1);
        Assert.InRange(neighbours, 0, 12);
        Assert.InRange(Enumerable.Range(0, 1000).Count(i => order[i] == i), 0, 8);
    }
}
