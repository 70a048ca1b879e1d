using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>What a projection is for, the same words in every family.</summary>
public enum Role
{
    /// <summary>Attention's query.</summary>
    Query,

    /// <summary>Attention's key.</summary>
    Key,

    /// <summary>Attention's value.</summary>
    Value,

    /// <summary>Attention's output.</summary>
    Output,

    /// <summary>The gate of the feed-forward block.</summary>
    Gate,

    /// <summary>The way up of the feed-forward block.</summary>
    Up,

    /// <summary>The way down of the feed-forward block.</summary>
    Down,
}

/// <summary>A linear map y = W·x + b with a socket for a <see cref="Delta"/>.</summary>
/// <param name="name">The module's name in files, without <c>.weight</c>.</param>
/// <param name="role">What it is for.</param>
/// <param name="layer">The block it stands in.</param>
/// <param name="weight">W [out, in].</param>
/// <param name="bias">b [out], or none.</param>
public sealed class Projection(string name, Role role, int layer, Weight weight, Weight? bias)
{
    /// <summary>The module's name in files.</summary>
    public string Name { get; } = name;

    /// <summary>What the projection is for.</summary>
    public Role Role { get; } = role;

    /// <summary>The block it stands in, from 0.</summary>
    public int Layer { get; } = layer;

    /// <summary>W [out, in].</summary>
    public Weight Weight { get; } = weight;

    /// <summary>b [out], or null.</summary>
    public Weight? Bias { get; } = bias;

    /// <summary>The delta in the socket, or null.</summary>
    public Delta? Delta { get; set; }

    /// <summary>Maps x [tokens, in] to [tokens, out].</summary>
    /// <param name="x">The input.</param>
    public Tensor Forward(Tensor x)
    {
        var y = nn.functional.linear(x, Weight.Value, Bias?.Value);
        return Delta is null ? y : Delta.Apply(x, y);
    }
}
