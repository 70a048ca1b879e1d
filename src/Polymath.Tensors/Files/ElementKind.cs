using static TorchSharp.torch;

namespace Polymath.Tensors.Files;

/// <summary>The types of elements that weight files hold, by the names that safetensors gives them.</summary>
internal static class ElementKind
{
    // Types of eight bits have no arithmetic; bfloat16 represents all of their values exactly, so they are read as bfloat16.
    private static readonly Dictionary<string, (ScalarType Type, int Size)> kinds = new(StringComparer.Ordinal)
    {
        ["F64"] = (ScalarType.Float64, 8),
        ["F32"] = (ScalarType.Float32, 4),
        ["F16"] = (ScalarType.Float16, 2),
        ["BF16"] = (ScalarType.BFloat16, 2),
        ["I64"] = (ScalarType.Int64, 8),
        ["I32"] = (ScalarType.Int32, 4),
        ["I16"] = (ScalarType.Int16, 2),
        ["I8"] = (ScalarType.Int8, 1),
        ["U8"] = (ScalarType.Byte, 1),
        ["BOOL"] = (ScalarType.Bool, 1),
        ["F8_E4M3"] = (ScalarType.BFloat16, 1),
        ["F8_E5M2"] = (ScalarType.BFloat16, 1),
        ["F8_E8M0"] = (ScalarType.BFloat16, 1),
    };

    internal static IEnumerable<string> Names => kinds.Keys;

    internal static bool TryGet(string kind, out (ScalarType Type, int Size) found) => kinds.TryGetValue(kind, out found);

    internal static (ScalarType Type, int Size) Of(string kind) => kinds[kind];

    internal static string NameOf(ScalarType type) => kinds.First(kind => kind.Value.Type == type).Key;

    internal static bool IsEightBitFloat(string kind) => kind.StartsWith("F8_", StringComparison.Ordinal);

    /// <summary>The upper half of a float32 (a bfloat16) for each of the 256 values of a type of eight bits.</summary>
    /// <param name="kind"><c>F8_E4M3</c> (no infinities, NaN at 127 and 255; bias 7) or <c>F8_E5M2</c> (as IEEE; bias 15), both of
    /// Micikevicius et al. 2022.</param>
    internal static ushort[] EightBitTable(string kind)
    {
        // Only powers of two, 2^(bits - 127), and NaN: the scales of the MX formats (OCP 2023).
        if (kind == "F8_E8M0")
            return [.. Enumerable.Range(0, 256).Select(bits => (ushort)(bits switch { 0 => 0x40, 255 => 0x7FC0, _ => bits << 7 }))];
        var (mantissaBits, bias) = kind == "F8_E4M3" ? (3, 7) : (2, 15);
        var table = new ushort[256];
        for (var bits = 0; bits < 256; bits++)
        {
            int exponent = (bits & 127) >> mantissaBits, mantissa = bits & ((1 << mantissaBits) - 1);
            var size = exponent == 0
                ? Math.ScaleB(mantissa, 1 - bias - mantissaBits)
                : Math.ScaleB(mantissa + (1 << mantissaBits), exponent - bias - mantissaBits);
            if (kind == "F8_E4M3" && (bits & 127) == 127) size = double.NaN;
            if (kind == "F8_E5M2" && exponent == 31) size = mantissa == 0 ? double.PositiveInfinity : double.NaN;
            table[bits] = (ushort)(BitConverter.SingleToUInt32Bits((float)(bits < 128 ? size : -size)) >> 16);
        }
        return table;
    }
}
