using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// Weights of which only names and shapes are asked: a model is built from its configuration to learn what its files must hold, without
/// memory for the numbers. Such a model cannot be run.
/// </summary>
public sealed class ShapeWeights : WeightSource
{
    private readonly Dictionary<string, long[]> shapes = new(StringComparer.Ordinal);
    private readonly IReadOnlyCollection<string>? stored;

    /// <summary>Weights that are all there.</summary>
    /// <param name="stored">The names that files hold; null where every name is meant to be there.</param>
    public ShapeWeights(IReadOnlyCollection<string>? stored = null) => this.stored = stored;

    /// <summary>The shapes that the model asked for, by name.</summary>
    public IReadOnlyDictionary<string, long[]> Shapes => shapes;

    /// <summary>The number of all parameters.</summary>
    public long Count => shapes.Values.Sum(shape => shape.Aggregate(1L, (a, b) => a * b));

    /// <summary>The names and shapes of a configuration's weights.</summary>
    /// <param name="configuration">The content of a <c>config.json</c>.</param>
    /// <param name="stored">The names that files hold; null where every name is meant to be there.</param>
    /// <exception cref="Polymath.Recipes.InputException">The family is not known, or a setting is missing or wrong.</exception>
    public static ShapeWeights Of(JsonObject configuration, IReadOnlyCollection<string>? stored = null)
    {
        var source = new ShapeWeights(stored);
        ModelFolder.Build(configuration, source).Dispose();
        return source;
    }

    /// <inheritdoc/>
    public override bool Has(string name) => stored?.Contains(name) ?? true;

    /// <inheritdoc/>
    public override Weight Get(string name, double? spread, params long[] shape)
    {
        shapes[name] = shape;
        return new Weight(name, zeros(1));
    }

    /// <inheritdoc/>
    public override Weight GetPart(
        string name,
        string stack,
        int expert,
        int part,
        int parts,
        params long[] shape) => Get(name, null, shape);

    /// <inheritdoc/>
    public override void Finish(IReadOnlyList<string> needless)
    {
    }
}
