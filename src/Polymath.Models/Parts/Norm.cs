using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>How a <see cref="Norm"/> normalises.</summary>
public enum NormKind
{
    /// <summary>By the root mean square: y = w·x/rms(x) (Zhang &amp; Sennrich 2019).</summary>
    Rms,

    /// <summary>By the root mean square, with the weight 1 + w: y = (1 + w)·x/rms(x) (Gemma).</summary>
    RmsFromOne,

    /// <summary>By mean and variance: y = w·(x − μ)/σ + b (Ba et al. 2016).</summary>
    Layer,
}

/// <summary>A normalisation of the last dimension.</summary>
/// <param name="kind">The kind.</param>
/// <param name="weight">w [width], or [heads, width] for norms of heads; null for a norm that only normalises.</param>
/// <param name="bias">b [width], or null.</param>
/// <param name="epsilon">The number added to the variance.</param>
public sealed class Norm(NormKind kind, Weight? weight, Weight? bias, double epsilon)
{
    /// <summary>How it normalises.</summary>
    public NormKind Kind { get; } = kind;

    /// <summary>The number added to the variance.</summary>
    public double Epsilon { get; } = epsilon;

    /// <summary>w [width], or null.</summary>
    public Weight? Weight { get; } = weight;

    /// <summary>b [width], or null.</summary>
    public Weight? Bias { get; } = bias;

    /// <summary>Normalises x [rows, width].</summary>
    /// <param name="x">The input.</param>
    public Tensor Forward(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        return Kind switch
        {
            NormKind.Rms => RmsNorm.Of(x, Weight?.Value ?? ones(x.size(-1), device: x.device), Epsilon),
            NormKind.RmsFromOne => RmsNorm.Of(x, Weight!.Value + 1, Epsilon),
            _ => nn.functional.layer_norm(
                x,
                [x.size(-1)],
                Weight?.Value,
                Bias?.Value,
                Epsilon),
        };
    }

    /// <summary>Normalises each head of x [tokens, heads, D].</summary>
    /// <param name="x">The input.</param>
    public Tensor ForwardHeads(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (Weight is not { Shape.Count: 2 } own) return Forward(x.reshape(-1, x.size(-1))).view(x.shape);
        // Each head has its own weight (Cohere).
        return new Norm(Kind, null, null, Epsilon).Forward(x) * own.Value;
    }

    /// <summary>Normalises all heads of a token of x [tokens, heads, D] together (OLMo 2).</summary>
    /// <param name="x">The input.</param>
    public Tensor ForwardWhole(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        return Forward(x.reshape(x.size(0), -1)).view(x.shape);
    }
}
