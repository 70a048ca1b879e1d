namespace Polymath.Recipes;

/// <summary>
/// How weights move. <c>kind</c> names the optimizer, and AdamW is meant where it is left out. Weight decay spares weights of one dimension
/// (norms, biases) whatever the optimizer.
/// </summary>
/// <param name="Rate">The learning rate at its peak.</param>
/// <param name="WeightDecay">The weight decay.</param>
/// <param name="Clip">The greatest norm of the whole gradient; 0 for no limit.</param>
[Case("kind", "adamw", typeof(AdamwSpec), IsDefault = true)]
[Case("kind", "adamw8bit", typeof(Adamw8bitSpec))]
[Case("kind", "adafactor", typeof(AdafactorSpec))]
[Case("kind", "lion", typeof(LionSpec))]
[Case("kind", "muon", typeof(MuonSpec))]
[Case("kind", "sgd", typeof(SgdSpec))]
public abstract record OptimizerSpec(double Rate, double WeightDecay, double Clip);

/// <summary>AdamW (Loshchilov &amp; Hutter 2019).</summary>
/// <param name="Rate">The learning rate at its peak.</param>
/// <param name="Beta1">The decay of the first moment.</param>
/// <param name="Beta2">The decay of the second moment.</param>
/// <param name="Epsilon">The number added to the root of the second moment.</param>
/// <param name="WeightDecay">Decoupled weight decay; weights of one dimension (norms, biases) are spared.</param>
/// <param name="Clip">The greatest norm of the whole gradient; 0 for no limit.</param>
/// <param name="LoraPlusRatio">How many times the rate of A's the rate of low-rank deltas' B is: LoRA+ (Hayou et al. 2024).</param>
public record AdamwSpec(
    [Bounds(0, 100)] double Rate,
    [Bounds(0, 0.99999999)] double Beta1 = 0.9,
    [Bounds(0, 0.99999999)] double Beta2 = 0.999,
    [Bounds(0, 1)] double Epsilon = 1e-8,
    [Bounds(0, 100)] double WeightDecay = 0,
    [Bounds(0)] double Clip = 1.0,
    [Bounds(1, 1000)] double LoraPlusRatio = 1) : OptimizerSpec(Rate, WeightDecay, Clip);

/// <summary>
/// AdamW whose moments are kept in 8 bits (Dettmers et al. 2022), in blocks of 256 as bitsandbytes 0.44 and later have them; weights of
/// less than 4096 elements keep theirs in 32 bits.
/// </summary>
public sealed record Adamw8bitSpec : AdamwSpec
{
    /// <summary>AdamW with smaller moments.</summary>
    /// <param name="settings">The settings, which are AdamW's.</param>
    public Adamw8bitSpec(AdamwSpec settings) : base(settings)
    {
    }
}

/// <summary>
/// Adafactor (Shazeer &amp; Stern 2018), as transformers has it: the second moment of a matrix is kept as its rows' and its columns' means.
/// </summary>
/// <param name="Rate">The learning rate at its peak; 1 with <paramref name="RelativeStep"/>, which brings a rate of its own.</param>
/// <param name="DecayRate">The exponent by which the second moment forgets more slowly: its decay in step t is 1 - t^decayRate.</param>
/// <param name="Beta1">The decay of a first moment; none is kept when left out.</param>
/// <param name="Epsilon1">The number added to the square of the gradient.</param>
/// <param name="Epsilon2">The least scale of a weight, with <paramref name="ScaleParameter"/>.</param>
/// <param name="ClipThreshold">The greatest root mean square of one weight's change, before the rate.</param>
/// <param name="ScaleParameter">Whether the rate of a weight is multiplied with the root mean square of its elements.</param>
/// <param name="RelativeStep">Whether the rate is min(0.01, 1/√step).</param>
/// <param name="WarmupInit">Whether that rate begins as 1e-6 times the step.</param>
/// <param name="WeightDecay">Decoupled weight decay; weights of one dimension (norms, biases) are spared.</param>
/// <param name="Clip">The greatest norm of the whole gradient; 0 for no limit.</param>
public sealed record AdafactorSpec(
    [Bounds(0, 100)] double Rate,
    [Bounds(-1, -0.00000001)] double DecayRate = -0.8,
    [Bounds(0, 0.99999999)] double? Beta1 = null,
    [Bounds(1e-38, 1)] double Epsilon1 = 1e-30,
    [Bounds(0, 1)] double Epsilon2 = 1e-3,
    [Bounds(0.00000001, 1000000)] double ClipThreshold = 1,
    bool ScaleParameter = false,
    bool RelativeStep = false,
    bool WarmupInit = false,
    [Bounds(0, 100)] double WeightDecay = 0,
    [Bounds(0)] double Clip = 1.0) : OptimizerSpec(Rate, WeightDecay, Clip);

/// <summary>Lion (Chen et al. 2023): every element moves by the rate, in the direction of a mean of gradients.</summary>
/// <param name="Rate">The learning rate at its peak; a third to a tenth of AdamW's, with as much more weight decay, say its
/// authors.</param>
/// <param name="Beta1">The share of the mean in the direction; the rest is this step's gradient.</param>
/// <param name="Beta2">The decay of the mean.</param>
/// <param name="WeightDecay">Decoupled weight decay; weights of one dimension (norms, biases) are spared.</param>
/// <param name="Clip">The greatest norm of the whole gradient; 0 for no limit.</param>
public sealed record LionSpec(
    [Bounds(0, 100)] double Rate,
    [Bounds(0, 0.99999999)] double Beta1 = 0.9,
    [Bounds(0, 0.99999999)] double Beta2 = 0.99,
    [Bounds(0, 100)] double WeightDecay = 0,
    [Bounds(0)] double Clip = 1.0) : OptimizerSpec(Rate, WeightDecay, Clip);

/// <summary>How Muon's rate follows a matrix' shape.</summary>
public enum MuonRate
{
    /// <summary>Times √max(1, rows/columns): Keller Jordan's own.</summary>
    Original,

    /// <summary>Times 0.2·√max(rows, columns), so that rates of AdamW's fit (Liu et al. 2025).</summary>
    MatchRmsAdamw,
}

/// <summary>
/// Muon (Jordan et al. 2024): the momentum of a hidden matrix is made orthogonal. Everything else (token vectors, heads, norms, biases)
/// moves by AdamW, with settings of its own.
/// </summary>
/// <param name="Rate">The learning rate of hidden matrices at its peak.</param>
/// <param name="Momentum">The decay of the momentum.</param>
/// <param name="Nesterov">Whether this step's gradient counts once more.</param>
/// <param name="NsSteps">The steps of the Newton-Schulz iteration that makes a matrix orthogonal.</param>
/// <param name="AdjustLrFn">How the rate follows a matrix' shape.</param>
/// <param name="Epsilon">The least norm that a matrix is divided by.</param>
/// <param name="WeightDecay">Decoupled weight decay of hidden matrices.</param>
/// <param name="AdamwRate">The learning rate of everything else at its peak; it follows the same schedule.</param>
/// <param name="AdamwBeta1">The decay of its first moment.</param>
/// <param name="AdamwBeta2">The decay of its second moment.</param>
/// <param name="AdamwEpsilon">The number added to the root of its second moment.</param>
/// <param name="AdamwWeightDecay">Its decoupled weight decay; weights of one dimension (norms, biases) are spared.</param>
/// <param name="Clip">The greatest norm of the whole gradient; 0 for no limit.</param>
public sealed record MuonSpec(
    [Bounds(0, 100)] double Rate,
    [Bounds(0, 0.99999999)] double Momentum = 0.95,
    bool Nesterov = true,
    [Bounds(1, 99)] int NsSteps = 5,
    MuonRate AdjustLrFn = MuonRate.Original,
    [Bounds(0, 1)] double Epsilon = 1e-7,
    [Bounds(0, 100)] double WeightDecay = 0.1,
    [Bounds(0, 100)] double AdamwRate = 3e-4,
    [Bounds(0, 0.99999999)] double AdamwBeta1 = 0.9,
    [Bounds(0, 0.99999999)] double AdamwBeta2 = 0.95,
    [Bounds(0, 1)] double AdamwEpsilon = 1e-10,
    [Bounds(0, 100)] double AdamwWeightDecay = 0,
    [Bounds(0)] double Clip = 1.0) : OptimizerSpec(Rate, WeightDecay, Clip);

/// <summary>Stochastic gradient descent, as PyTorch has it, without dampening.</summary>
/// <param name="Rate">The learning rate at its peak.</param>
/// <param name="Momentum">The decay of the momentum; 0 for none.</param>
/// <param name="Nesterov">Whether the step looks ahead along the momentum (Sutskever et al. 2013).</param>
/// <param name="WeightDecay">Coupled weight decay: added to the gradient, so that the momentum holds it; weights of one dimension (norms,
/// biases) are spared.</param>
/// <param name="Clip">The greatest norm of the whole gradient; 0 for no limit.</param>
public sealed record SgdSpec(
    [Bounds(0, 100)] double Rate,
    [Bounds(0, 0.99999999)] double Momentum = 0,
    bool Nesterov = false,
    [Bounds(0, 100)] double WeightDecay = 0,
    [Bounds(0)] double Clip = 1.0) : OptimizerSpec(Rate, WeightDecay, Clip);
