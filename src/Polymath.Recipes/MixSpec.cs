namespace Polymath.Recipes;

/// <summary>
/// Several things learned in one step: the gradient is the weighted sum of the terms' mean gradients. Each term's loss, gradient norm and
/// the cosines between their gradients are recorded, so that it is seen when two pull apart.
/// </summary>
/// <param name="Terms">What is learned.</param>
/// <param name="Balance">Whether the weights say how much each term weighs in the loss or in the gradient.</param>
public sealed record MixSpec(
    IReadOnlyList<TermSpec> Terms,
    TermBalance Balance = TermBalance.Losses) : ObjectiveSpec
{
    /// <inheritdoc/>
    public override string Kind => "mix";
}

/// <summary>What the weights of terms are weights of.</summary>
public enum TermBalance
{
    /// <summary>Their mean losses.</summary>
    Losses,

    /// <summary>The norms of their gradients: each weight is divided by its term's norm and multiplied by the weighted mean of all norms.
    /// </summary>
    Gradients,
}

/// <summary>One of the things that a mixed stage learns in each step.</summary>
/// <param name="Name">Its name in figures.</param>
/// <param name="Objective">What is learned; <c>kind</c> names it, and its settings are written next to <c>kind</c>.</param>
/// <param name="Data">The sources it reads.</param>
/// <param name="Weight">Its weight: a number, or one that changes over the stage's steps.</param>
/// <param name="Batch">What a step reads of it; the stage's batch when left out.</param>
/// <param name="Mix">The shares of the rows that are read from the sources.</param>
public sealed record TermSpec(
    string Name,
    [Flatten] ObjectiveSpec Objective,
    [Means(Meaning.DataName)] IReadOnlyList<string> Data,
    TermWeightSpec? Weight = null,
    BatchSpec? Batch = null,
    IReadOnlyDictionary<string, double>? Mix = null);

/// <summary>The weight of a term.</summary>
/// <param name="From">The weight, or the weight at the first step.</param>
/// <param name="To">The weight at the last step, reached along a line; the same when left out.</param>
[Shorthand(nameof(From))]
public sealed record TermWeightSpec(
    [Bounds(0, 1000000)] double From = 1,
    [Bounds(0, 1000000)] double? To = null)
{
    /// <summary>The weight at a step.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="steps">The stage's steps.</param>
    public double At(int step, int steps) => To is { } to && steps > 1 ? From + (to - From) * (step - 1) / (steps - 1) : From;
}
