using Polymath.Distributed;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using static TorchSharp.torch;
using Together = Polymath.Distributed.Peers;

namespace Polymath.Tests.Training;

/// <summary>Two processes that train together give the result of one process with the rows of both. They are two threads here.</summary>
[Trait("kind", "invariant")]
public sealed class TwinTests
{
    /// <summary>Two threads that sum by handing each other copies; lists of different lengths are a fault.</summary>
    private sealed class Meeting : IDisposable
    {
        private readonly Barrier barrier = new(2);
        private readonly float[][]?[] left = new float[][]?[2];
        private readonly double[]?[] numbers = new double[]?[2];

        public void Dispose() => barrier.Dispose();

        public Together Seat(int rank) => new Seated(this, rank);

        private sealed class Seated(Meeting meeting, int rank) : Together
        {
            public override int Rank => rank;

            public override int Count => 2;

            public override void Sum(IReadOnlyList<Tensor> tensors)
            {
                meeting.left[rank] = [.. tensors.Select(Samples.Floats)];
                Meet();
                var other = meeting.left[1 - rank]!;
                Assert.Equal(other.Length, tensors.Count);
                using var frozen = no_grad();
                using var scope = NewDisposeScope();
                for (var i = 0; i < tensors.Count; i++) tensors[i].add_(tensor(other[i]).view(tensors[i].shape));
                Meet();
            }

            public override void Sum(Span<double> numbers)
            {
                meeting.numbers[rank] = numbers.ToArray();
                Meet();
                var other = meeting.numbers[1 - rank]!;
                Assert.Equal(other.Length, numbers.Length);
                for (var i = 0; i < numbers.Length; i++) numbers[i] += other[i];
                Meet();
            }

            // A process that waits for a failed one fails, too.
            private void Meet() => Assert.True(meeting.barrier.SignalAndWait(TimeSpan.FromMinutes(2)));
        }
    }

    private static PairItem Pair(int number) => new([Toy.Row(7, number, half: true), Toy.Row(9, number + 50, half: true)], [-3f, -2.5f]);

    private static (double Loss, long Tokens, IReadOnlyDictionary<string, double> Metrics, Dictionary<string,
        float[]> Weights) Step(Together peers, Objective objective, params Item[] items)
    {
        using var toy = new ToyTraining(
            new FullMethod(),
            objective: objective,
            items: items,
            tokens: items.Sum(item => item.Tokens),
            peers: peers);
        var report = toy.Train(1, 1)[0];
        return (report.Loss, report.Tokens, report.Metrics, Toy.Values(toy.Model.Weights));
    }

    private static void Same(Func<Objective> objective, Item[] first, Item[] second)
    {
        var alone = Step(new Solo(), objective(), [.. first, .. second]);
        using var meeting = new Meeting();
        foreach (var twin in AtOnce(
            () => Step(meeting.Seat(0), objective(), first),
            () => Step(meeting.Seat(1), objective(), second)))
        {
            Assert.Equal(alone.Loss, twin.Loss, 1e-5);
            Assert.Equal(alone.Tokens, twin.Tokens);
            Assert.Equal(alone.Metrics.Keys, twin.Metrics.Keys);
            Assert.All(alone.Metrics, pair => Assert.Equal(pair.Value, twin.Metrics[pair.Key], 1e-5));
            Assert.All(alone.Weights, pair => Assert.True(Samples.Gap(pair.Value, twin.Weights[pair.Key]) < 1e-5, pair.Key));
        }
    }

    /// <summary>Runs each on a thread of its own, since they wait for each other, and rethrows what a thread threw.</summary>
    private static T[] AtOnce<T>(params Func<T>[] steps)
    {
        var results = new T[steps.Length];
        var faults = new Exception?[steps.Length];
        var threads = steps.Select((step, rank) => new Thread(() => faults[rank] = Record.Exception(() => results[rank] = step())))
            .ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.All(faults, Assert.Null);
        return results;
    }

    [Fact]
    public void Figures_are_means_over_the_rows_of_both() =>
        Same(() => Toy.Dpo(0.1, 0.5), [Pair(1), Pair(2), Pair(3)], [Pair(4)]);

    [Fact]
    public void One_whose_rows_reach_no_weight_sums_the_same_list()
    {
        // Rows without a target have no gradient.
        TokenRow still = new([3, 4, 5, 6], new float[4], "still");
        Same(() => new NextToken(), [new Item([Toy.Row(9, 1)]), new Item([Toy.Row(8, 2)])], [new Item([still])]);
    }
}
