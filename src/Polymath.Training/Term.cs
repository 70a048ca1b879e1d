using Polymath.Recipes;
using Polymath.Training.Objectives;

namespace Polymath.Training;

/// <summary>One of the things that a step learns: a formula over items of its own.</summary>
/// <param name="Objective">The formula.</param>
/// <param name="Source">The items.</param>
/// <param name="Batch">How many of them a step takes.</param>
/// <param name="Name">Its name in figures; empty where a step learns one thing.</param>
/// <param name="Weight">What its mean loss is multiplied by at a step; 1 when left out.</param>
public sealed record Term(
    Objective Objective,
    ItemSource Source,
    BatchSpec Batch,
    string Name = "",
    Func<int, double>? Weight = null);
