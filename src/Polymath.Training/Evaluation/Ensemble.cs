using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tuning.Prompts;
using static TorchSharp.torch;

namespace Polymath.Training.Evaluation;

/// <summary>One of several stages that answer together.</summary>
/// <param name="Name">What it is called in messages.</param>
/// <param name="Open">Opens it.</param>
/// <param name="Asked">Its answers to the rows that are asked.</param>
/// <param name="Weighed">Its answers to the rows that weights are found on.</param>
public sealed record EnsembleMember(
    string Name,
    Func<StageLabels> Open,
    Func<StageLabels, IReadOnlyList<LabelledAnswer>> Asked,
    Func<StageLabels, IReadOnlyList<LabelledAnswer>> Weighed);

/// <summary>What several stages say of rows.</summary>
/// <param name="Labels">The labels, in the order of the first stage.</param>
/// <param name="Shares">The stages' shares.</param>
/// <param name="Together">For each row, its probabilities by all stages.</param>
/// <param name="Each">For each stage, its answers.</param>
public sealed record EnsembleAnswers(
    IReadOnlyList<string> Labels,
    IReadOnlyList<double> Shares,
    IReadOnlyList<IReadOnlyList<double>> Together,
    IReadOnlyList<IReadOnlyList<LabelledAnswer>> Each);

/// <summary>
/// Several finished stages that answer together, as several prompts of one do. Their models are opened one after another, so that one at a
/// time takes memory.
/// </summary>
/// <param name="members">The stages.</param>
/// <param name="together">How their answers become one.</param>
public sealed class Ensemble(IReadOnlyList<EnsembleMember> members, PromptsTogether together)
{
    private const int MostSteps = 10000;
    private const double Enough = 1e-12;

    /// <summary>Whether weights are found on labelled rows.</summary>
    /// <param name="together">How answers become one.</param>
    public static bool Weighs(PromptsTogether together) => together is PromptsTogether.Accuracy or PromptsTogether.Learned;

    /// <summary>Asks the stages.</summary>
    /// <param name="weighed">The labels of the rows that weights are found on.</param>
    /// <param name="stop">Stops between two stages.</param>
    /// <exception cref="InputException">A stage cannot be opened, or has other labels than the first one.</exception>
    public EnsembleAnswers Read(IReadOnlyList<string> weighed, CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(weighed);
        IReadOnlyList<string>? labels = null;
        List<IReadOnlyList<LabelledAnswer>> asked = [], known = [];
        foreach (var member in members)
        {
            stop.ThrowIfCancellationRequested();
            using var stage = member.Open();
            labels ??= stage.Labels;
            var order = Order(labels, stage.Labels, member.Name);
            LabelledAnswer Sorted(LabelledAnswer answer) => answer with { Scores = [.. order.Select(at => answer.Scores[at])] };
            asked.Add([.. member.Asked(stage).Select(Sorted)]);
            if (Weighs(together)) known.Add([.. member.Weighed(stage).Select(Sorted)]);
        }
        var shares = Weighs(together)
            ? Shares(together, [.. known.Select(Probabilities)], [.. weighed.Select(label => NumberOf(labels!, label))])
            : [.. members.Select(_ => 1.0 / members.Count)];
        return new EnsembleAnswers(labels!, shares, Joined(asked, shares), asked);
    }

    private int[] Order(IReadOnlyList<string> labels, IReadOnlyList<string> own, string name) =>
        labels.Order(StringComparer.Ordinal).SequenceEqual(own.Order(StringComparer.Ordinal))
            ? [.. labels.Select(label => own.Index().First(pair => pair.Item == label).Index)]
            : throw new InputException($"Stage {name} has the labels {string.Join(", ", own)}, and stage {members[0].Name} "
                + $"{string.Join(", ", labels)}. Stages answer together where they have the same labels; leave one out.");

    private static int NumberOf(IReadOnlyList<string> labels, string label) => labels.Index()
        .Where(pair => pair.Item == label).Select(pair => (int?)pair.Index).FirstOrDefault()
        ?? throw new InputException($"A row has the label '{label}', which the stages do not know. Labels are "
            + $"{string.Join(", ", labels)}.");

    private static IReadOnlyList<IReadOnlyList<double>> Probabilities(IReadOnlyList<LabelledAnswer> answers) =>
        [.. answers.Select(answer => answer.Scores)];

    private IReadOnlyList<IReadOnlyList<double>> Joined(List<IReadOnlyList<LabelledAnswer>> asked, IReadOnlyList<double> shares)
    {
        if (asked[0].Count == 0) return [];
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var count = asked[0][0].Scores.Count;
        var each = tensor(asked.SelectMany(own => own.SelectMany(answer => answer.Scores)).ToArray())
            .view(asked.Count, -1, count).log();
        var joined = JoinedAnswers.Of(each, together, tensor(shares.ToArray()).log()).exp();
        return [.. joined.contiguous().data<double>().ToArray().Chunk(count)];
    }

    /// <summary>The shares of answers, found on labelled rows; their sum is 1.</summary>
    /// <param name="together"><c>accuracy</c> for shares in the ratio of accuracies, <c>learned</c> for those under which the right labels
    /// are most probable.</param>
    /// <param name="each">For each that is asked, the probabilities of the labels of each row.</param>
    /// <param name="labels">The number of each row's label.</param>
    public static IReadOnlyList<double> Shares(
        PromptsTogether together,
        IReadOnlyList<IReadOnlyList<IReadOnlyList<double>>> each,
        IReadOnlyList<int> labels)
    {
        ArgumentNullException.ThrowIfNull(each);
        ArgumentNullException.ThrowIfNull(labels);
        if (labels.Count == 0)
            throw new InputException("Weights of stages are found on validation rows, and there are none. Give the data a larger "
                + "split.validation, or write together: mean or majority.");
        if (together == PromptsTogether.Learned)
            return Likeliest([.. each.Select(own => own.Select((row, i) => row[labels[i]]).ToArray())]);
        // One that is never right keeps a little, as among prompts.
        double[] right = [.. each.Select(own => Math.Max(own.Where((row, i) => Best(row) == labels[i]).Count(), 0.5))];
        return [.. right.Select(count => count / right.Sum())];
    }

    private static int Best(IReadOnlyList<double> row) => row.Index().MaxBy(pair => pair.Item).Index;

    // Σ log Σ share·p(right label) has one maximum over the shares; the steps of expectation and maximization never lower it.
    private static double[] Likeliest(double[][] right)
    {
        var shares = right.Select(_ => 1.0 / right.Length).ToArray();
        for (var step = 0; step < MostSteps; step++)
        {
            var sums = new double[right.Length];
            double rows = 0;
            for (var i = 0; i < right[0].Length; i++)
            {
                double mixed = 0;
                for (var k = 0; k < right.Length; k++) mixed += shares[k] * right[k][i];
                if (mixed <= 0) continue;
                rows++;
                for (var k = 0; k < right.Length; k++) sums[k] += shares[k] * right[k][i] / mixed;
            }
            if (rows == 0) return shares;
            double[] next = [.. sums.Select(sum => sum / rows)];
            var moved = next.Zip(shares, (to, from) => Math.Abs(to - from)).Max();
            shares = next;
            if (moved < Enough) break;
        }
        return shares;
    }
}
