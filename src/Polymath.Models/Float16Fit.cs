using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>Refuses to write values in float16 that would become infinite.</summary>
internal static class Float16Fit
{
    // The smallest value that is rounded to infinity.
    private const float TooLarge = 65520;

    /// <summary>Throws when a value is larger than float16 holds.</summary>
    /// <param name="name">The weight's name.</param>
    /// <param name="value">The values before they are rounded.</param>
    /// <param name="instead">The options that write another type.</param>
    /// <exception cref="InputException">A value is too large.</exception>
    internal static void Check(string name, Tensor value, string instead)
    {
        if (value.numel() == 0) return;
        using var scope = NewDisposeScope();
        float most = value.max().to(ScalarType.Float32).item<float>(), least = value.min().to(ScalarType.Float32).item<float>();
        if (most < TooLarge && least > -TooLarge || float.IsNaN(most)) return;
        throw new InputException($"{name} holds {(most >= TooLarge ? most : least):G6}, but float16 holds at most 65504: the file would "
            + $"hold an infinity. Write another type: {instead}.");
    }
}
