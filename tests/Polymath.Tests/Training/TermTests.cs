using Polymath.Distributed;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Training;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using Polymath.Training.Schedules;
using Polymath.Training.Stages;

namespace Polymath.Tests.Training;

/// <summary>Several things learned in one step.</summary>
[Trait("kind", "invariant")]
public sealed class TermTests
{
    private static readonly List<Item> reading = [.. Toy.Rows(9, 12, 7, 8).Select(row => new Item([row]))];

    private static readonly List<Item> pairs =
    [
        .. Enumerable.Range(0, 3).Select(i => new PairItem(
            [Toy.Row(8 + i, i, half: true), Toy.Row(9 + i, i + 30, half: true)], [-20f - i, -21f + i])),
    ];

    private static Term Read(Func<int, double>? weight = null) => new(
        new NextToken(),
        new CorpusItems(reading, 3, "read"),
        new BatchSpec(1000),
        "read",
        weight);

    private static Term Prefer(Func<int, double>? weight = null) => new(
        Toy.Dpo(0.3, 0),
        new CorpusItems(pairs, 3, "prefer"),
        new BatchSpec(1000),
        "prefer",
        weight);

    // How each weight moves in one step of plain gradient descent at the rate 1: minus its gradient.
    private static (Dictionary<string, float[]> Moves, StepReport Report) Step(
        IReadOnlyList<Term> terms,
        bool balanced = false,
        double clip = 0,
        int step = 1)
    {
        using var model = Toy.Model();
        using var method = TrainedMethod.Attach(model, new FullMethod(), 3, "toy");
        var before = model.Weights.ToDictionary(weight => weight.Name, weight => Samples.Floats(weight.Value));
        var spec = new SgdSpec(1, Clip: clip);
        using var optimizer = new OptimizerSet(method.Groups(spec));
        var loop = new Loop(
            model,
            terms,
            optimizer,
            new RateSchedule(1, 10, new ScheduleSpec(ScheduleKind.Constant)),
            new Solo())
        {
            Balanced = balanced,
        };
        var report = loop.Step(step, TestContext.Current.CancellationToken);
        return (model.Weights.ToDictionary(
            weight => weight.Name,
            weight => Samples.Floats(weight.Value).Zip(before[weight.Name], (after, had) => after - had).ToArray()), report);
    }

    private static double Norm(Dictionary<string, float[]> moves) => Math.Sqrt(moves.Values.Sum(own => own.Sum(x => (double)x * x)));

    private static double Product(Dictionary<string, float[]> a, Dictionary<string, float[]> b) =>
        a.Sum(pair => pair.Value.Zip(b[pair.Key], (x, y) => (double)x * y).Sum());

    private static void Same(Dictionary<string, float[]> expected, Dictionary<string, float[]> found)
    {
        var scale = Norm(expected);
        foreach (var (name, own) in expected)
            for (var i = 0; i < own.Length; i++) Assert.Equal(own[i], found[name][i], 2e-6 * scale);
    }

    private static Dictionary<string, float[]> Sum(double a, Dictionary<string, float[]> x, double b, Dictionary<string, float[]> y) =>
        x.ToDictionary(pair => pair.Key, pair => pair.Value.Zip(y[pair.Key], (u, v) => (float)(a * u + b * v)).ToArray());

    [Fact]
    public void The_gradient_of_a_mix_is_the_weighted_sum_of_its_terms()
    {
        var (read, first) = Step([Read()]);
        var (prefer, second) = Step([Prefer()]);
        var (mix, both) = Step([Read(_ => 0.7), Prefer(_ => 2.5)]);
        Same(Sum(0.7, read, 2.5, prefer), mix);
        Assert.Equal(0.7 * first.Loss + 2.5 * second.Loss, both.Loss, 1e-5);
        Assert.Equal(Norm(mix), both.GradientNorm, 1e-4 * both.GradientNorm);
        Assert.Equal(first.Tokens + second.Tokens, both.Tokens);
        Assert.Equal(first.GradientNorm, both.Metrics["read gradient"], 1e-6 * first.GradientNorm);
        Assert.Equal(second.GradientNorm, both.Metrics["prefer gradient"], 1e-6 * second.GradientNorm);
        Assert.Equal(second.Metrics["margin"], both.Metrics["prefer margin"], 1e-6);
        Assert.Equal(Product(read, prefer) / Norm(read) / Norm(prefer), both.Metrics["cosine read prefer"], 1e-4);
    }

    [Fact]
    public void A_mix_of_a_term_with_itself_is_that_term()
    {
        var (alone, _) = Step([Read()]);
        var (twice, report) = Step([Read(_ => 0.25), Read(_ => 0.75) with { Name = "again" }]);
        Same(alone, twice);
        Assert.Equal(1, report.Metrics["cosine read again"], 1e-6);
    }

    [Fact]
    public void Terms_cut_into_passes_give_the_same_step()
    {
        var (whole, _) = Step([Read(), Prefer()]);
        var small = new BatchSpec(1000, MicroRows: 1);
        var (parts, _) = Step([Read() with { Batch = small }, Prefer() with { Batch = small }]);
        Same(whole, parts);
    }

    [Fact]
    public void Balanced_terms_pull_as_their_weights_say()
    {
        var (read, _) = Step([Read()]);
        var (prefer, _) = Step([Prefer()]);
        var (mix, report) = Step([Read(_ => 3), Prefer(_ => 1)], balanced: true);
        double a = report.Metrics["read weight"], b = report.Metrics["prefer weight"];
        // The pulls are as 3 to 1, and their sum is that of the unbalanced mix.
        Assert.Equal(3, a * Norm(read) / (b * Norm(prefer)), 1e-4);
        Assert.Equal(3 * Norm(read) + Norm(prefer), a * Norm(read) + b * Norm(prefer), 1e-4 * Norm(read));
        Same(Sum(a, read, b, prefer), mix);
    }

    [Fact]
    public void The_whole_mix_is_clipped_and_not_its_terms()
    {
        var (_, free) = Step([Read(), Prefer()]);
        var (clipped, report) = Step([Read(), Prefer()], clip: free.GradientNorm / 4);
        Assert.Equal(free.GradientNorm, report.GradientNorm, 1e-6 * free.GradientNorm);
        Assert.Equal(free.GradientNorm / 4, Norm(clipped), 1e-4 * free.GradientNorm);
    }

    [Fact]
    public void A_weight_changes_along_a_line_from_the_first_step_to_the_last()
    {
        var weight = new TermWeightSpec(1, 0.2);
        Assert.Equal([1, 0.8, 0.6, 0.4, 0.2], Enumerable.Range(1, 5).Select(step => Math.Round(weight.At(step, 5), 12)));
        Assert.Equal(1, weight.At(1, 1));
        Assert.Equal(0.5, new TermWeightSpec(0.5).At(7, 9));
    }
}
