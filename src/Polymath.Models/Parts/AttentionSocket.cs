using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>Learned vectors that a layer's tokens attend to, in addition to the earlier tokens.</summary>
public abstract class AttentionAddition
{
    /// <summary>Its own weights, under their names in files.</summary>
    public abstract IReadOnlyList<Weight> Weights { get; }

    /// <summary>Whether it applies.</summary>
    public abstract bool IsOn { get; }

    /// <summary>The vectors [n, hidden] from which the layer's maps compute keys and values.</summary>
    public abstract Tensor Vectors { get; }

    /// <summary>The addition to the layer's attention: [tokens, heads·D].</summary>
    /// <param name="query">[tokens, heads, D].</param>
    /// <param name="key">[n, keyValueHeads, D].</param>
    /// <param name="value">[n, keyValueHeads, D].</param>
    public abstract Tensor Mix(Tensor query, Tensor key, Tensor value);
}

/// <summary>The socket for additions to a layer's attention.</summary>
/// <param name="name">The attention's name in files, such as <c>model.layers.0.self_attn</c>.</param>
/// <param name="layer">The block that contains it.</param>
public sealed class AttentionSocket(string name, int layer)
{
    private readonly List<AttentionAddition> additions = [];

    /// <summary>The attention's name in files.</summary>
    public string Name { get; } = name;

    /// <summary>The block that contains it, from 0.</summary>
    public int Layer { get; } = layer;

    /// <summary>Whether nothing is attached.</summary>
    internal bool IsPlain => additions.Count == 0;

    /// <summary>Attaches an addition.</summary>
    /// <param name="addition">The addition.</param>
    public void Plug(AttentionAddition addition) => additions.Add(addition);

    /// <summary>Detaches an addition.</summary>
    /// <param name="addition">The addition.</param>
    public void Unplug(AttentionAddition addition) => additions.Remove(addition);

    /// <summary>Attention's output with the additions.</summary>
    /// <param name="mixed">Attention's own output [tokens, heads·D].</param>
    /// <param name="query">[tokens, heads, D].</param>
    /// <param name="map">Computes keys and values, each [n, keyValueHeads, D], from vectors [n, hidden].</param>
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
