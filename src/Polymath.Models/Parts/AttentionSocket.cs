using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>Learned vectors that a layer's tokens attend to beside those that stand before them.</summary>
public abstract class AttentionAddition
{
    /// <summary>Its own weights, under their names in files.</summary>
    public abstract IReadOnlyList<Weight> Weights { get; }

    /// <summary>Whether it applies.</summary>
    public abstract bool IsOn { get; }

    /// <summary>The vectors [n, hidden] that the layer's maps make keys and values of.</summary>
    public abstract Tensor Vectors { get; }

    /// <summary>What is added to the layer's attention: [tokens, heads·D].</summary>
    /// <param name="query">[tokens, heads, D].</param>
    /// <param name="key">[n, keyValueHeads, D].</param>
    /// <param name="value">[n, keyValueHeads, D].</param>
    public abstract Tensor Mix(Tensor query, Tensor key, Tensor value);
}

/// <summary>Where a layer's attention takes additions.</summary>
/// <param name="name">The attention's name in files, such as <c>model.layers.0.self_attn</c>.</param>
/// <param name="layer">The block it stands in.</param>
public sealed class AttentionSocket(string name, int layer)
{
    private readonly List<AttentionAddition> additions = [];

    /// <summary>The attention's name in files.</summary>
    public string Name { get; } = name;

    /// <summary>The block it stands in, from 0.</summary>
    public int Layer { get; } = layer;

    /// <summary>Whether nothing is plugged in.</summary>
    internal bool IsPlain => additions.Count == 0;

    /// <summary>Plugs an addition in.</summary>
    /// <param name="addition">The addition.</param>
    public void Plug(AttentionAddition addition) => additions.Add(addition);

    /// <summary>Takes an addition out.</summary>
    /// <param name="addition">The addition.</param>
    public void Unplug(AttentionAddition addition) => additions.Remove(addition);

    /// <summary>What attention gives, with the additions.</summary>
    /// <param name="mixed">What it gives by itself [tokens, heads·D].</param>
    /// <param name="query">[tokens, heads, D].</param>
    /// <param name="map">Makes keys and values, each [n, keyValueHeads, D], of vectors [n, hidden].</param>
    internal Tensor Add(Tensor mixed, Tensor query, Func<Tensor, (Tensor Key, Tensor Value)> map)
    {
        foreach (var addition in additions)
        {
            if (!addition.IsOn) continue;
            var (key, value) = map(addition.Vectors);
            mixed = mixed + addition.Mix(query, key, value);
        }
        return mixed;
    }
}
