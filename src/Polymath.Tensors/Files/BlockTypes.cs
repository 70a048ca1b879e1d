using System.Buffers.Binary;

namespace Polymath.Tensors.Files;

/// <summary>A type of GGUF's tensors: rows of blocks, each with its own scale.</summary>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Code">ggml's number for it.</param>
/// <param name="FileType">The number for files that are mostly of it.</param>
/// <param name="Elements">The elements of a block.</param>
/// <param name="Bytes">The bytes of a block.</param>
public sealed record BlockType(
    string Name,
    int Code,
    int FileType,
    int Elements,
    int Bytes)
{
    /// <summary>32-bit floats.</summary>
    public static BlockType F32 { get; } = new("f32", 0, 0, 1, 4);

    /// <summary>16-bit floats.</summary>
    public static BlockType F16 { get; } = new("f16", 1, 1, 1, 2);

    /// <summary>The upper halves of 32-bit floats (bfloat16).</summary>
    public static BlockType BF16 { get; } = new("bf16", 30, 32, 1, 2);

    /// <summary>Eight bits and a scale for 32 elements.</summary>
    public static BlockType Q8Zero { get; } = new("q8_0", 8, 7, 32, 34);

    /// <summary>Four bits and a scale for 32 elements.</summary>
    public static BlockType Q4Zero { get; } = new("q4_0", 2, 2, 32, 18);

    /// <summary>Four bits for 256 elements, with a scale and a minimum of six bits for each 32 of them.</summary>
    public static BlockType Q4K { get; } = new("q4_k", 12, 14, 256, 144);

    /// <summary>All types that can be written.</summary>
    public static IReadOnlyList<BlockType> All { get; } = [F32, F16, BF16, Q8Zero, Q4Zero, Q4K];

    /// <summary>Writes one block.</summary>
    /// <param name="x">Its elements.</param>
    /// <param name="to">Its bytes.</param>
    public void Write(ReadOnlySpan<float> x, Span<byte> to)
    {
        switch (Name)
        {
            case "f32":
                BinaryPrimitives.WriteSingleLittleEndian(to, x[0]);
                break;
            case "f16":
                BinaryPrimitives.WriteHalfLittleEndian(to, (Half)x[0]);
                break;
            case "bf16":
                BinaryPrimitives.WriteUInt16LittleEndian(to, Brain(x[0]));
                break;
            case "q8_0":
                WriteQ8Zero(x, to);
                break;
            case "q4_0":
                WriteQ4Zero(x, to);
                break;
            default:
                FourBitBlock.Write(x, to);
                break;
        }
    }

    // Rounds to the nearest, ties to even, like libtorch; NaN stays NaN.
    private static ushort Brain(float x)
    {
        var bits = BitConverter.SingleToUInt32Bits(x);
        return float.IsNaN(x) ? (ushort)(bits >> 16 | 64) : (ushort)(bits + 0x7fff + (bits >> 16 & 1) >> 16);
    }

    // ggml's quantize_row_q8_0_ref: d = max|x|/127, q = round(x/d), halves away from zero.
    private static void WriteQ8Zero(ReadOnlySpan<float> x, Span<byte> to)
    {
        var most = 0f;
        foreach (var value in x) most = MathF.Max(most, MathF.Abs(value));
        var d = most / 127;
        var inverse = d == 0 ? 0 : 1 / d;
        BinaryPrimitives.WriteHalfLittleEndian(to, (Half)d);
        for (var i = 0; i < x.Length; i++) to[2 + i] = (byte)(sbyte)MathF.Round(x[i] * inverse, MidpointRounding.AwayFromZero);
    }

    // ggml's quantize_row_q4_0_ref: d = (the value with the largest absolute value)/−8, q = ⌊x/d + 8.5⌋, at most 15; the two halves
    // of a block share bytes.
    private static void WriteQ4Zero(ReadOnlySpan<float> x, Span<byte> to)
    {
        float most = 0, greatest = 0;
        foreach (var value in x)
            if (MathF.Abs(value) > most) (most, greatest) = (MathF.Abs(value), value);
        var d = greatest / -8;
        var inverse = d == 0 ? 0 : 1 / d;
        BinaryPrimitives.WriteHalfLittleEndian(to, (Half)d);
        for (var i = 0; i < 16; i++)
            to[2 + i] = (byte)(Math.Min(15, (int)(x[i] * inverse + 8.5f)) | Math.Min(15, (int)(x[16 + i] * inverse + 8.5f)) << 4);
    }
}
