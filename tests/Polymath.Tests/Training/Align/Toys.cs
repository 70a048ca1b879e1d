using Polymath.Tests.Tensors;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>Small numbers in double precision, and the loss of each kind over them.</summary>
internal static class Toys
{
    public static readonly int[] Lengths = [3, 2, 1, 4, 2, 5, 3, 2];

    public static int Tokens { get; } = Lengths.Sum();

    /// <summary>Log-probabilities of some tokens, none above 0.</summary>
    public static double[] Logs(string name, int tokens) =>
        [.. Samples.Numbers(name, tokens).Select(x => -1.5 - 0.4 * Math.Tanh(x) + 0.05 * x)];

    public static Tensor Wide(params double[] values) => tensor(values);

    /// <summary>The losses of pairs.</summary>
    public static readonly IReadOnlyDictionary<string, PreferenceLoss> Preferences = new Dictionary<string, PreferenceLoss>
    {
        ["sigmoid"] = new SigmoidLoss(0.3),
        ["sigmoid smoothed"] = new SigmoidLoss(0.3, 0.1),
        ["mean sigmoid"] = new MeanSigmoidLoss(0.7),
        ["robust"] = new RobustLoss(0.3, 0.2),
        ["exact"] = new ExactLoss(0.3, 0.1),
        ["simpo"] = new SimPoLoss(2, 0.5),
        ["alphapo"] = new SimPoLoss(2, 0.5, 0.25, 0.1),
        ["odds"] = new OddsLoss(0.5),
        ["discopop"] = new DiscoPopLoss(0.1, 0.5),
        ["hinge"] = new HingeLoss(0.3),
        ["identity"] = new IdentityLoss(0.3),
        ["identity of sums"] = new IdentityLoss(0.3, PerToken: false),
        ["self-play"] = new SelfPlayLoss(0.3),
        ["noise"] = new NoiseContrastiveLoss(0.3),
        ["binary"] = new BinaryPairLoss(0.3),
        ["zero"] = new AnchoredZeroLoss(0.3),
        ["down"] = new AnchoredDownLoss(0.3),
        ["sorted margins"] = new SortedMarginLoss(0.3, 0.1),
        ["sorted answers"] = new SortedAnswerLoss(0.3, 0.1),
        ["likelihood"] = new ChosenLikelihood(),
        ["mix with sorted"] = new PreferenceMix([new(new SortedMarginLoss(0.3)), new(new SortedAnswerLoss(0.2), 0.5)]),
        ["mix"] = new PreferenceMix([new(new SigmoidLoss(0.3), 0.8), new(new BinaryPairLoss(0.3), 0.2), new(new ChosenLikelihood())]),
    };

    public static readonly IReadOnlyDictionary<string, ScoreShape> Shapes = new Dictionary<string, ScoreShape>
    {
        ["reverse"] = new ReverseKl(),
        ["forward"] = new ForwardKl(),
        ["jensen-shannon"] = new JensenShannon(),
        ["alpha"] = new AlphaDivergence(0.3),
        ["reward"] = new AlphaReward(0.2),
    };

    /// <summary>The losses of policies whose values have the gradient that they say: none stops a gradient.</summary>
    public static readonly IReadOnlyDictionary<string, PolicyLoss> Smooth = new Dictionary<string, PolicyLoss>
    {
        ["clipped"] = new ClippedLoss(0.2, 0.28),
        ["clipped rows"] = new ClippedLoss(0.2, 0.28, RatioLevel.Sequence),
        ["two-sided"] = new ClippedLoss(0.2, 0.2, Most: 1.3),
        ["soft"] = new SoftGateLoss(),
        ["soft rows"] = new SoftGateLoss(1.2, 2, RatioLevel.Sequence),
        ["geometric"] = new GeometricLoss(0.3, 0.4),
    };

    /// <summary>All losses of policies.</summary>
    public static readonly IReadOnlyDictionary<string, PolicyLoss> Policies = new Dictionary<string, PolicyLoss>(Smooth)
    {
        ["capped"] = new CappedWeightLoss(1.1),
        ["gamma"] = new GammaWeightLoss(),
        ["mixed level"] = new ClippedLoss(0.2, 0.28, RatioLevel.SequenceToken),
    };

    public static readonly IReadOnlyDictionary<string, TokenAverage> Averages = new Dictionary<string, TokenAverage>
    {
        ["row means"] = new RowMeans(), ["tokens"] = new AllTokens(), ["fixed"] = new FixedLength(16), ["row sums"] = new RowSums(),
    };

    public static PairScores Pairs(Tensor policy, int[] lengths, ScoreShape? shape = null, int first = 0)
    {
        var begin = Lengths.Take(first).Sum();
        var reference = Wide(Logs("reference", Tokens)).narrow(0, begin, lengths.Sum());
        var layout = new RowLayout(lengths);
        return PairScores.OfTurns(AnswerScores.Of(new TokenValues(policy, layout), new TokenValues(reference, layout)), shape);
    }

    /// <summary>The tokens of some rows from the first on, with one advantage a row.</summary>
    public static PolicyTokens Sampled(Tensor policy, int[] lengths, int first = 0)
    {
        var begin = Lengths.Take(first).Sum();
        var old = Wide(Logs("old", Tokens)).narrow(0, begin, lengths.Sum());
        var advantages = Wide([.. Samples.Numbers("advantages", Lengths.Length).Skip(first).Take(lengths.Length)]);
        return PolicyTokens.OfRows(new TokenValues(policy, new RowLayout(lengths)), old, advantages);
    }

    /// <summary>The value and gradient of a scalar function of a flat tensor.</summary>
    public static (double Value, double[] Gradient) Slope(Func<Tensor, Tensor> function, double[] at)
    {
        var leaf = tensor(at).requires_grad_(true);
        var value = function(leaf);
        value.backward();
        return (value.item<double>(), CaseNumbers.Doubles(leaf.grad!));
    }

    /// <summary>Holds the gradient against central differences.</summary>
    public static void Holds(Func<Tensor, Tensor> function, double[] at)
    {
        var (_, gradient) = Slope(function, at);
        double Value(double[] x)
        {
            using var scope = NewDisposeScope();
            return function(tensor(x)).item<double>();
        }
        var slopes = Samples.Slopes(Value, [.. at]);
        Assert.Contains(gradient, slope => Math.Abs(slope) > 1e-6);
        foreach (var (ours, theirs) in gradient.Zip(slopes)) Assert.Equal(theirs, ours, 1e-6);
    }
}
