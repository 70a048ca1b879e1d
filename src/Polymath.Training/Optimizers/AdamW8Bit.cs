using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>
/// <see cref="AdamW"/> whose moments are kept in 8 bits (Dettmers, Lewis, Shleifer &amp; Zettlemoyer 2022, "8-bit Optimizers via Block-wise
/// Quantization"): codes of bitsandbytes' dynamic map, and a scale in 32 bits for each block of 256. A step reads them, moves the weight by
/// the exact new moments, and rounds these. Weights of less than 4096 elements keep their moments in 32 bits. The formula is that of
/// bitsandbytes' CPU backend; see <see cref="AdamW8BitStep"/>.
/// </summary>
public sealed class AdamW8Bit : Optimizer
{
    /// <summary>The elements that a weight must have for moments in 8 bits, as bitsandbytes' <c>min_8bit_size</c>.</summary>
    public const int Least = 4096;

    private const string FirstScale = "firstScale", SecondScale = "secondScale", FirstCode = "firstCode", SecondCode = "secondCode";

    private readonly AdamwSpec spec;
    private readonly IReadOnlyList<CodedMoments?> coded;
    private readonly IReadOnlyList<(Tensor First, Tensor Second)?> whole;

    /// <summary>Moments at zero.</summary>
    /// <param name="group">The weights.</param>
    /// <param name="spec">The settings.</param>
    public AdamW8Bit(WeightGroup group, Adamw8bitSpec spec) : base(group)
    {
        ArgumentNullException.ThrowIfNull(group);
        this.spec = spec;
        coded = [.. group.Weights.Select(weight => weight.Count < Least ? null : Fresh(weight))];
        whole = [.. group.Weights.Select(weight => weight.Count < Least ? (Zeros(weight), Zeros(weight)) : ((Tensor, Tensor)?)null)];
    }

    private static CodedMoments Fresh(Weight weight)
    {
        var blocks = AdamW8BitStep.BlocksOf(weight.Count);
        return new CodedMoments(
            Zeros(weight, ScalarType.Byte, weight.Value.shape),
            Zeros(weight, ScalarType.Byte, weight.Value.shape),
            Zeros(weight, ScalarType.Float32, blocks),
            Zeros(weight, ScalarType.Float32, blocks));
    }

    /// <inheritdoc/>
    protected override void Apply(int place, Weight weight, Tensor gradient, Move move)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (coded[place] is { } moments) AdamW8BitStep.Apply(weight.Value, gradient, moments, AdamW.Numbers(spec, weight, move));
        else
            AdamW.Apply(
                spec,
                weight,
                gradient,
                whole[place]!.Value.First,
                whole[place]!.Value.Second,
                move);
    }

    /// <inheritdoc/>
    protected override IEnumerable<(string Kind, Tensor Value)> Memory(int place) => coded[place] is { } moments
        ? [
            (FirstCode, moments.First),
            (SecondCode, moments.Second),
            (FirstScale, moments.FirstScale),
            (SecondScale, moments.SecondScale),
        ]
        : [(FirstMoment, whole[place]!.Value.First), (SecondMoment, whole[place]!.Value.Second)];
}
