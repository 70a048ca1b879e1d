using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>The names of the parts of a BERT-like block, after the block's prefix.</summary>
/// <param name="Query">The query map.</param>
/// <param name="Key">The key map.</param>
/// <param name="Value">The value map.</param>
/// <param name="Output">Attention's output.</param>
/// <param name="AttentionNorm">The norm after attention.</param>
/// <param name="Up">The first map of the feed-forward part.</param>
/// <param name="Down">The second one.</param>
/// <param name="LastNorm">The norm after the feed-forward part.</param>
public sealed record EncoderNames(
    string Query,
    string Key,
    string Value,
    string Output,
    string AttentionNorm,
    string Up,
    string Down,
    string LastNorm)
{
    /// <summary>BERT's own names.</summary>
    public static EncoderNames Usual { get; } = new(
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm");
}

/// <summary>The sizes of a BERT-like block.</summary>
/// <param name="Hidden">The width of the residual stream.</param>
/// <param name="Inner">The width within the feed-forward part.</param>
/// <param name="Heads">The heads.</param>
/// <param name="Epsilon">The ε of the norms.</param>
public sealed record EncoderSizes(int Hidden, int Inner, int Heads, double Epsilon);

/// <summary>BERT's block (Devlin et al. 2019): every token sees its whole row; norms follow each part.</summary>
public sealed class EncoderBlock
{
    private readonly Projection query, key, value, output, up, down;
    private readonly Norm attentionNorm, lastNorm;
    private readonly Activation activation;
    private readonly EncoderSizes sizes;

    /// <summary>Gets the weights under a prefix.</summary>
    /// <param name="parts">The model's parts.</param>
    /// <param name="prefix">The prefix of the names.</param>
    /// <param name="names">The names.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="sizes">The sizes.</param>
    /// <param name="activation">The activation of the feed-forward part.</param>
    public EncoderBlock(
        ModelParts parts,
        string prefix,
        EncoderNames names,
        int layer,
        EncoderSizes sizes,
        Activation activation)
    {
        ArgumentNullException.ThrowIfNull(parts);
        ArgumentNullException.ThrowIfNull(names);
        ArgumentNullException.ThrowIfNull(sizes);
        (this.sizes, this.activation) = (sizes, activation);
        Projection Map(string name, Role role, int to, int from) => parts.Linear(
            prefix + name,
            role,
            layer,
            to,
            from,
            bias: true);
        int hidden = sizes.Hidden, inner = sizes.Inner;
        query = Map(names.Query, Role.Query, hidden, hidden);
        key = Map(names.Key, Role.Key, hidden, hidden);
        value = Map(names.Value, Role.Value, hidden, hidden);
        output = Map(names.Output, Role.Output, hidden, hidden);
        attentionNorm = parts.Norm(NormKind.Layer, prefix + names.AttentionNorm, hidden, sizes.Epsilon);
        up = Map(names.Up, Role.Up, inner, hidden);
        down = Map(names.Down, Role.Down, hidden, inner);
        lastNorm = parts.Norm(NormKind.Layer, prefix + names.LastNorm, hidden, sizes.Epsilon);
    }

    /// <summary>Maps x [tokens, hidden] to the same shape.</summary>
    /// <param name="x">The residual stream.</param>
    /// <param name="batch">The rows.</param>
    /// <param name="layer">The layer that the block serves as; one block may serve as several.</param>
    public Tensor Forward(Tensor x, Batch batch, int layer)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var width = sizes.Hidden / sizes.Heads;
        Tensor Heads(Projection map) => map.Forward(x).view(-1, sizes.Heads, width);
        var mixed = new AttentionPlace(layer, new AttentionForm(1 / Math.Sqrt(width))).Attend(
            batch,
            Heads(query),
            Heads(key),
            Heads(value),
            null,
            batch.Whole);
        x = attentionNorm.Forward(output.Forward(mixed) + x);
        return lastNorm.Forward(down.Forward(activation.Forward(up.Forward(x))) + x);
    }
}
