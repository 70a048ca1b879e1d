using CsCheck;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Training;
using Polymath.Training.Objectives;
using Polymath.Training.Schedules;

namespace Polymath.Tests.Training;

/// <summary>Streams of items, and the rate of each step.</summary>
[Trait("kind", "unit")]
public sealed class ItemTests
{
    private static CorpusItems Source(params int[] lengths) =>
        new([.. lengths.Select((length, i) => new Item([Toy.Row(length, i)]))], 1, "x");

    [Fact]
    public void Items_are_taken_while_they_fit_and_at_least_one() =>
        Gen.Select(Gen.Int[1, 9].Array[1, 12], Gen.Int[1, 20]).Sample((lengths, tokens) =>
        {
            var source = Source(lengths);
            var taken = new List<string>();
            while (source.Cursor.Epoch < 2)
            {
                var before = source.Cursor;
                var items = source.Take(tokens);
                Assert.True(items.Count == 1 || items.Sum(item => item.Tokens) <= tokens);
                Assert.NotEqual(before, source.Cursor);
                taken.AddRange(items.Select(item => item.Rows[0].Source));
            }
            // Each pass reads every item once.
            for (var epoch = 0; epoch < 2; epoch++)
                Assert.Equal(lengths.Length, taken.Skip(epoch * lengths.Length).Take(lengths.Length).Distinct().Count());
        }, iter: 200, threads: 1);

    [Fact]
    public void A_cursor_finds_its_place_again()
    {
        CorpusItems one = Source(3, 4, 5, 6, 7), two = Source(3, 4, 5, 6, 7);
        for (var i = 0; i < 4; i++)
            one.Take(9);
        two.Cursor = one.Cursor;
        for (var i = 0; i < 9; i++)
            Assert.Equal(one.Take(9).Select(item => item.Rows[0].Source), two.Take(9).Select(item => item.Rows[0].Source));
    }

    [Theory]
    [InlineData(1, 5, int.MaxValue, 4)]
    [InlineData(1, 10, int.MaxValue, 2)]
    [InlineData(1, 12, int.MaxValue, 2)]
    [InlineData(2, 10, int.MaxValue, 4)]
    [InlineData(2, 15, int.MaxValue, 4)]
    [InlineData(10, 1000, int.MaxValue, 10)]
    [InlineData(0.5, 10, int.MaxValue, 1)]
    [InlineData(0.001, 1000, int.MaxValue, 1)]
    [InlineData(1, 1, int.MaxValue, 4)]
    [InlineData(1, int.MaxValue, 3, 2)]
    [InlineData(3, int.MaxValue, 2, 6)]
    [InlineData(1.5, int.MaxValue, 3, 3)]
    public void Steps_for_epochs_are_counted_by_walking(
        double epochs,
        int tokens,
        int rows,
        int steps)
    {
        var source = Source(5, 5, 5, 5);
        Assert.Equal(steps, source.StepsFor(epochs, tokens, rows));
        Assert.Equal(default, source.Cursor);
    }

    [Fact]
    public void Epochs_read_every_item_so_often_and_no_step_crosses_the_end_of_one() =>
        Gen.Select(Gen.Int[1, 9].Array[1, 15], Gen.Int[1, 25], Gen.Int[1, 3]).Sample((lengths, tokens, epochs) =>
        {
            var source = Source(lengths);
            var steps = source.StepsFor(epochs, tokens);
            var taken = Enumerable.Range(0, steps).Select(_ => source.Take(tokens).Select(item => item.Rows[0].Source).ToList()).ToList();
            Assert.All(taken, step => Assert.Equal(step.Count, step.Distinct().Count()));
            var times = taken.SelectMany(step => step).GroupBy(name => name).ToList();
            Assert.Equal(lengths.Length, times.Count);
            Assert.All(times, group => Assert.Equal(epochs, group.Count()));
            Assert.Equal(epochs, source.Epochs, 1e-12);
        }, iter: 100, threads: 1);

    [Theory]
    [InlineData(0.5, 2)]
    [InlineData(1.25, 5)]
    [InlineData(2.5, 10)]
    public void A_part_of_an_epoch_is_read_exactly(double epochs, int items)
    {
        var source = Source(5, 5, 5, 5);
        var steps = source.StepsFor(epochs, 15);
        Assert.Equal(items, Enumerable.Range(0, steps).Sum(_ => source.Take(15).Count));
        Assert.Equal(epochs, source.Epochs, 1e-12);
    }

    [Fact]
    public void A_step_crosses_the_end_of_an_epoch_where_it_is_asked_to()
    {
        var source = Source(5, 5, 5);
        source.CrossesEpochs = true;
        Assert.Equal(3, source.StepsFor(2, 10));
        Assert.Equal([2, 2, 2], Enumerable.Range(0, 3).Select(_ => source.Take(10).Count));
    }

    [Theory]
    [InlineData(ScheduleKind.Constant, 0, 0.3, 1, 0.8)]
    [InlineData(ScheduleKind.Constant, 4, 0, 1, 0.2)]
    [InlineData(ScheduleKind.Constant, 4, 0, 4, 0.8)]
    [InlineData(ScheduleKind.Constant, 4, 0, 5, 0.8)]
    [InlineData(ScheduleKind.Linear, 0, 0, 1, 0.8)]
    [InlineData(ScheduleKind.Linear, 0, 0, 6, 0.4)]
    [InlineData(ScheduleKind.Linear, 0, 0, 10, 0.08)]
    [InlineData(ScheduleKind.Linear, 2, 0, 2, 0.8)]
    [InlineData(ScheduleKind.Linear, 2, 0, 3, 0.8)]
    [InlineData(ScheduleKind.Linear, 0.2, 0, 1, 0.4)]
    [InlineData(ScheduleKind.Linear, 2, 0.25, 7, 0.5)]
    [InlineData(ScheduleKind.Linear, 2, 0.25, 10, 0.275)]
    [InlineData(ScheduleKind.Cosine, 0, 0, 6, 0.4)]
    [InlineData(ScheduleKind.Cosine, 4, 0, 7, 0.6)]
    [InlineData(ScheduleKind.Cosine, 4, 0.5, 8, 0.6)]
    [InlineData(ScheduleKind.Cosine, 10, 0, 10, 0.8)]
    public void The_rate_is_the_one_worked_out_by_hand(
        ScheduleKind kind,
        double warmup,
        double floor,
        int step,
        double rate) =>
            Assert.Equal(rate, new RateSchedule(0.8, 10, new ScheduleSpec(kind, warmup, floor)).At(step), 1e-12);

    [Fact]
    public void No_step_has_the_rate_0() =>
        Gen.Select(Gen.Enum<ScheduleKind>(), Gen.Int[1, 30], Gen.Double[0, 0.99]).Sample((kind, steps, warmup) =>
            Assert.All(
                Enumerable.Range(1, steps),
                step => Assert.InRange(new RateSchedule(1, steps, new ScheduleSpec(kind, warmup)).At(step), 1e-3, 1)));
}
