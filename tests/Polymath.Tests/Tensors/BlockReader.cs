using System.Buffers.Binary;

namespace Polymath.Tests.Tensors;

/// <summary>Reads ggml's blocks, written from the format's description alone.</summary>
internal static class BlockReader
{
    public static float[] Read(string type, byte[] bytes) => type switch
    {
        "f32" => [.. bytes.Chunk(4).Select(number => BitConverter.ToSingle(number))],
        "f16" => [.. bytes.Chunk(2).Select(number => Half(number, 0))],
        "bf16" => [.. bytes.Chunk(2).Select(number => BitConverter.Int32BitsToSingle(BitConverter.ToUInt16(number) << 16))],
        "q8_0" => [.. bytes.Chunk(34).SelectMany(block => Enumerable.Range(0, 32).Select(i => (sbyte)block[2 + i] * Half(block, 0)))],
        "q4_0" => [.. bytes.Chunk(18)
            .SelectMany(block => Enumerable.Range(0, 32).Select(i => ((block[2 + i % 16] >> (i / 16 * 4) & 15) - 8) * Half(block, 0)))],
        "q4_k" => [.. bytes.Chunk(144).SelectMany(block => Enumerable.Range(0, 256).Select(i => FourBit(block, i)))],
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };

    private static float Half(byte[] block, int at) => (float)BinaryPrimitives.ReadHalfLittleEndian(block.AsSpan(at));

    private static float FourBit(byte[] block, int i)
    {
        var group = i / 32;
        var packed = block.AsSpan(4, 12);
        var (scale, least) = group < 4
            ? (packed[group] & 63, packed[group + 4] & 63)
            : ((packed[group + 4] & 15) | (packed[group - 4] >> 6 << 4), (packed[group + 4] >> 4) | (packed[group] >> 6 << 4));
        var q = block[16 + group / 2 * 32 + i % 32] >> (group % 2 * 4) & 15;
        return Half(block, 0) * scale * q - Half(block, 2) * least;
    }
}
