using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// ProtoVerb (Cui et al. 2022): states are mapped to a small space, in which each label has a prototype; a label's score is the cosine with
/// it. Map and prototypes are trained with two contrastive losses; then the scores are averaged with those of a manual verbalizer.
/// </summary>
public sealed class ProtoVerbalizer : IDisposable
{
    /// <summary>A verbalizer.</summary>
    /// <param name="map">The start of the map [m, hidden].</param>
    /// <param name="prototypes">The start of the prototypes [C, m].</param>
    public ProtoVerbalizer(Tensor map, Tensor prototypes)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(prototypes);
        Map = map.detach().clone().requires_grad_(true).DetachFromDisposeScope();
        Prototypes = prototypes.detach().clone().requires_grad_(true).DetachFromDisposeScope();
    }

    /// <summary>The map [m, hidden].</summary>
    public Tensor Map { get; }

    /// <summary>The prototypes [C, m].</summary>
    public Tensor Prototypes { get; }

    /// <summary>The labels' scores [n, C] by the prototypes alone.</summary>
    /// <param name="states">The states [n, hidden] where the answer is read.</param>
    public Tensor Scores(Tensor states) => Cosine(nn.functional.linear(states, Map), Prototypes);

    /// <summary>The scores [n, C] averaged with others: both are first shifted and scaled to mean 0 and deviation 1 in each row.</summary>
    /// <param name="manual">The other scores [n, C].</param>
    /// <param name="proto">The prototypes' scores [n, C].</param>
    public static Tensor Together(Tensor manual, Tensor proto)
    {
        static Tensor Scaled(Tensor x) => (x - x.mean([-1], keepdim: true)) / x.std(-1, keepdim: true);
        return (Scaled(manual) + Scaled(proto)) / 2;
    }

    /// <summary>
    /// The two losses over K examples of each of C labels (eq. 5 and 6), each the mean over all its pairs: an example and its prototype
    /// against the prototype and the other labels' examples; two examples of a label against an example of it and those of other labels.
    /// </summary>
    /// <param name="states">The states [C, K, hidden].</param>
    public (Tensor Instances, Tensor Prototypes) Losses(Tensor states)
    {
        ArgumentNullException.ThrowIfNull(states);
        var x = nn.functional.linear(states, Map);                                                               // [C, K, m]
        long labels = x.size(0), count = x.size(1);
        var near = Cosine(x, Prototypes).exp();                                                                  // [C, K, C]
        var own = near.diagonal(0, 0, 2);                                                                        // [K, C]
        // The others of an example: the prototypes of all labels, as its row of similarities has them.
        var prototypes = Contrast(own, near.sum(-1).transpose(0, 1) - own).sum() / (count * labels * labels);
        var instances = Enumerable.Range(0, (int)labels).Select(label =>
        {
            var similar = Cosine(x, x[label]).exp();                                                             // [C, K, K]
            var same = similar[label];
            return Contrast(same, (similar.sum([0]) - same).sum([0])).sum();
        }).Aggregate((a, b) => a + b) / (count * labels * count * labels);
        return (instances, prototypes);
    }

    /// <summary>Trains map and prototypes with Adam on the sum of both losses.</summary>
    /// <param name="states">The states [n, hidden] of labelled examples.</param>
    /// <param name="labels">Their labels; each has as many examples.</param>
    /// <param name="epochs">How many steps.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <exception cref="InputException">The labels have different numbers of examples.</exception>
    public void Train(
        Tensor states,
        IReadOnlyList<long> labels,
        int epochs,
        double learningRate)
    {
        using var scope = NewDisposeScope();
        var grouped = Grouped(states, labels, (int)Prototypes.size(0)).detach();
        Tensor[] trained = [Map, Prototypes];
        Tensor[] means = [.. trained.Select(x => zeros_like(x))], squares = [.. trained.Select(x => zeros_like(x))];
        for (var step = 1; step <= epochs; step++)
        {
            foreach (var x in trained) x.grad?.zero_();
            var (instances, prototypes) = Losses(grouped);
            (instances + prototypes).backward();
            using var frozen = no_grad();
            for (var i = 0; i < trained.Length; i++) Adam(trained[i], means[i], squares[i], (step, learningRate));
        }
    }

    // Adam (Kingma & Ba 2015) with its usual settings.
    private static void Adam(Tensor x, Tensor mean, Tensor square, (int Step, double Rate) at)
    {
        const double Mean = 0.9, Square = 0.999, Epsilon = 1e-8;
        var gradient = x.grad!;
        mean.mul_(Mean).add_(gradient, alpha: 1 - Mean);
        square.mul_(Square).addcmul_(gradient, gradient, 1 - Square);
        var scale = (square / (1 - Math.Pow(Square, at.Step))).sqrt() + Epsilon;
        x.sub_(mean / scale * (at.Rate / (1 - Math.Pow(Mean, at.Step))));
    }

    /// <summary>States by label [C, K, hidden].</summary>
    /// <param name="states">The states [n, hidden].</param>
    /// <param name="labels">Their labels.</param>
    /// <param name="count">The number of labels.</param>
    /// <exception cref="InputException">The labels have different numbers of examples.</exception>
    public static Tensor Grouped(Tensor states, IReadOnlyList<long> labels, int count)
    {
        var places = Enumerable.Range(0, count)
            .Select(label => Enumerable.Range(0, labels.Count).Where(i => labels[i] == label).Select(i => (long)i).ToArray()).ToArray();
        if (Array.Exists(places, own => own.Length != places[0].Length || own.Length == 0))
            throw new InputException($"Prototypes need as many examples of each label, but there are "
                + $"{string.Join(", ", places.Select(own => own.Length))}.");
        return stack(places.Select(own => states.index_select(0, tensor(own))), 0);
    }

    private static Tensor Contrast(Tensor same, Tensor others) => -(same / (same + others)).log();

    private static Tensor Cosine(Tensor x, Tensor y) =>
        nn.functional.linear(nn.functional.normalize(x, dim: -1), nn.functional.normalize(y, dim: -1));

    /// <inheritdoc/>
    public void Dispose()
    {
        Map.Dispose();
        Prototypes.Dispose();
    }
}
