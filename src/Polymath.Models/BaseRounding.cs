using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>How the frozen weights of a model are stored while something else is trained.</summary>
public static class BaseRounding
{
    /// <summary>
    /// Converts the frozen linear maps to a precision; norms, biases, token vectors, routers and heads do not change. Experts that lie in
    /// one weight are rounded to 16 or 32 bits only: they are no linear maps in PyTorch either, where bitsandbytes leaves them out.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="precision">The precision; null changes nothing.</param>
    public static void Quantize(this LanguageModel model, BasePrecision? precision)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (precision is not { } held) return;
        if (held is BasePrecision.Nf4 or BasePrecision.Int8) model.Unrounded ??= ModelSignature.Of(model);
        foreach (var map in model.Projections.Where(map => map.Role is not (Role.Head or Role.Router)))
            switch (held)
            {
                case BasePrecision.Nf4 or BasePrecision.Int8 when map.Stack is { IsWhole: true }: break;
                case BasePrecision.Nf4: map.Weight.Quantize(QuantizedForm.Nf4, map.Transposed); break;
                case BasePrecision.Int8: map.Weight.Quantize(QuantizedForm.Int8, map.Transposed); break;
                case BasePrecision.Float32: map.Weight.Convert(ScalarType.Float32); break;
                case BasePrecision.Float16: map.Weight.Convert(ScalarType.Float16); break;
                default: map.Weight.Convert(ScalarType.BFloat16); break;
            }
    }
}
