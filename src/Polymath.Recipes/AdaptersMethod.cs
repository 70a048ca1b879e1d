namespace Polymath.Recipes;

/// <summary>How a stage uses several adapters together.</summary>
public enum Together
{
    /// <summary>All apply to every row; their changes add up, and they are trained jointly.</summary>
    Stack,

    /// <summary>Each applies to the rows of its own data only; the frozen model runs once for all of them.</summary>
    Route,

    /// <summary>Gates weigh the adapters for each token in each socket; the gates are trained with the adapters.</summary>
    Mix,

    /// <summary>They are combined into one low-rank adapter, whose training continues.</summary>
    Combine,
}

/// <summary>How low-rank adapters are combined into one.</summary>
public enum CombineKind
{
    /// <summary>The factors are concatenated. This is exact; the ranks add up.</summary>
    Cat,

    /// <summary>
    /// The factors are added, each times the root of its weight, as PEFT's <c>linear</c>. Cross terms arise, so it is not the exact sum.
    /// </summary>
    Linear,

    /// <summary>The sum of the changes, cut to a rank.</summary>
    Svd,

    /// <summary>TIES (Yadav et al. 2023) on the factors: trim, elect a sign, average those that agree.</summary>
    Ties,

    /// <summary>TIES on the changes, cut to a rank.</summary>
    TiesSvd,

    /// <summary>The largest elements of the factors, added.</summary>
    MagnitudePrune,

    /// <summary>The largest elements of the changes, added and cut to a rank.</summary>
    MagnitudePruneSvd,

    /// <summary>DARE (Yu et al. 2024) on the factors: elements are dropped at random, and the rest is scaled up.</summary>
    DareLinear,

    /// <summary>DARE on the changes, cut to a rank.</summary>
    DareLinearSvd,
}

/// <summary>How adapters are combined before training continues.</summary>
/// <param name="Kind">The rule.</param>
/// <param name="Density">The share of elements that pruning keeps.</param>
/// <param name="R">The rank, where the rule cuts to one; the largest rank of the adapters when left out.</param>
[Shorthand(nameof(Kind))]
public sealed record CombineSpec(
    CombineKind Kind = CombineKind.Cat,
    [Bounds(0.0001, 1)] double Density = 1,
    [Bounds(1, 65536)] int? R = null);

/// <summary>One of several adapters: a fresh one, or one that was trained before.</summary>
/// <param name="Delta">A fresh adapter.</param>
/// <param name="Folder">The folder of an adapter, ours or PEFT's, whose training continues.</param>
/// <param name="Stage">An earlier stage of this recipe whose adapter is trained further. That stage must have <c>merge: false</c>.</param>
/// <param name="OptimizerState">Whether the optimizer's moments that are saved next to the adapter are loaded, too.</param>
/// <param name="Optimizer">The optimizer of its weights; the stage's optimizer when left out.</param>
/// <param name="Frozen">Whether it is frozen.</param>
/// <param name="Data">The data whose rows it applies to, some of the stage's data; needed for <c>route</c>.</param>
/// <param name="Weight">Its weight where adapters are combined.</param>
public sealed record AdapterSpec(
    DeltaSpec? Delta = null,
    [Means(Meaning.Folder)] string? Folder = null,
    [Means(Meaning.StageName)] string? Stage = null,
    bool OptimizerState = false,
    OptimizerSpec? Optimizer = null,
    bool Frozen = false,
    [Means(Meaning.DataName)] IReadOnlyList<string>? Data = null,
    [Bounds(-1000, 1000)] double Weight = 1);

/// <summary>
/// Adapters that were trained before, or several adapters: one that is trained further, or several that are stacked, routed by rows, mixed
/// by gates, or combined into one.
/// </summary>
/// <param name="Adapters">The adapters, by names of their own.</param>
/// <param name="Together">How they are used together; a single adapter needs no choice.</param>
/// <param name="Combine">The rule for <c>together: combine</c>.</param>
/// <param name="Merge">Whether they are merged into the model when the stage ends; adapters that are routed or mixed cannot be.</param>
/// <param name="Base">How the frozen weights are stored during training; as in the files when left out.</param>
public sealed record AdaptersMethod(
    IReadOnlyDictionary<string, AdapterSpec> Adapters,
    Together Together = Together.Stack,
    CombineSpec? Combine = null,
    bool Merge = false,
    BasePrecision? Base = null) : MethodSpec
{
    /// <inheritdoc/>
    public override string Kind => "adapters";
}
