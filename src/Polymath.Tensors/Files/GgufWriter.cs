using System.Buffers.Binary;
using System.Text;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tensors.Files;

/// <summary>A tensor to be written.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">Its shape, the slowest dimension first; the file holds it in reverse order.</param>
/// <param name="Type">The type of its blocks.</param>
/// <param name="Make">Returns its elements in 32 bits; it is called once, and its result is freed.</param>
public sealed record GgufTensor(string Name, long[] Shape, BlockType Type, Func<Tensor> Make)
{
    /// <summary>The number of its bytes.</summary>
    public long Bytes => Shape.Aggregate(1L, (product, x) => product * x) / Type.Elements * Type.Bytes;
}

/// <summary>
/// Writes GGUF files, version 3 (ggml's docs/gguf.md): a header, values by key, the tensors' places, and their data, each at a multiple of
/// 32 bytes.
/// </summary>
public sealed class GgufWriter
{
    private const int Alignment = 32;
    private readonly List<(string Key, byte[] Value)> values = [];
    private readonly List<GgufTensor> tensors = [];

    /// <summary>Adds a value.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">A string, bool, int (written unsigned), float, bytes, or a list of strings, bools, ints or floats.</param>
    public void Add(string key, object value)
    {
        using var stream = new MemoryStream();
        switch (value)
        {
            case string text: Int(stream, 8); Text(stream, text); break;
            case bool flag: Int(stream, 7); stream.WriteByte(flag ? (byte)1 : (byte)0); break;
            case int number: Int(stream, 4); Int(stream, number); break;
            case float number: Int(stream, 6); Int(stream, BitConverter.SingleToInt32Bits(number)); break;
            case byte[] bytes: Head(stream, 0, bytes.Length); stream.Write(bytes); break;
            case IReadOnlyList<string> texts: Head(stream, 8, texts.Count); foreach (var text in texts) Text(stream, text); break;
            case IReadOnlyList<bool> flags:
                Head(stream, 7, flags.Count);
                foreach (var one in flags) stream.WriteByte(one ? (byte)1 : (byte)0);
                break;
            case IReadOnlyList<int> numbers: Head(stream, 5, numbers.Count); foreach (var number in numbers) Int(stream, number); break;
            case IReadOnlyList<float> numbers:
                Head(stream, 6, numbers.Count);
                foreach (var number in numbers) Int(stream, BitConverter.SingleToInt32Bits(number));
                break;
            default: throw new ArgumentException($"{key} cannot be written as a {value?.GetType().Name}.", nameof(value));
        }
        values.Add((key, stream.ToArray()));
    }

    /// <summary>Adds a tensor.</summary>
    /// <param name="tensor">The tensor.</param>
    public void Add(GgufTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.Shape[^1] % tensor.Type.Elements != 0)
            throw new ArgumentException(
                $"{tensor.Name}: rows of {tensor.Shape[^1]} do not make blocks of {tensor.Type.Elements}.",
                nameof(tensor));
        tensors.Add(tensor);
    }

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="before">Called before each tensor; an exception stops the writing and leaves no file.</param>
    public void Write(string path, Action? before = null) => AtomicFile.Write(path, stream =>
    {
        stream.Write("GGUF"u8);
        Int(stream, 3);
        Long(stream, tensors.Count);
        Long(stream, values.Count);
        foreach (var (key, value) in values)
        {
            Text(stream, key);
            stream.Write(value);
        }
        long at = 0;
        foreach (var tensor in tensors)
        {
            Text(stream, tensor.Name);
            Int(stream, tensor.Shape.Length);
            foreach (var x in tensor.Shape.Reverse()) Long(stream, x);
            Int(stream, tensor.Type.Code);
            Long(stream, at);
            at += Padded(tensor.Bytes);
        }
        Pad(stream, stream.Position);
        foreach (var tensor in tensors)
        {
            before?.Invoke();
            WriteBlocks(stream, tensor);
            Pad(stream, tensor.Bytes);
        }
    });

    private static unsafe void WriteBlocks(Stream stream, GgufTensor tensor)
    {
        using var scope = NewDisposeScope();
        var dense = tensor.Make().detach().cpu().to(ScalarType.Float32).contiguous();
        if (!dense.shape.SequenceEqual(tensor.Shape))
            throw new InvalidOperationException($"{tensor.Name} has the shape [{string.Join(", ", dense.shape)}] instead of "
                + $"[{string.Join(", ", tensor.Shape)}].");
        var data = (nint)LibTorch.Data(dense);
        var (type, blocks) = (tensor.Type, dense.numel() / tensor.Type.Elements);
        var piece = new byte[(int)Math.Min(blocks, 1 << 14) * type.Bytes];
        for (long from = 0; from < blocks; from += piece.Length / type.Bytes)
        {
            var count = (int)Math.Min(piece.Length / type.Bytes, blocks - from);
            var start = from;
            Parallel.For(0, (count + 255) / 256, part =>
            {
                for (var i = part * 256; i < Math.Min(count, part * 256 + 256); i++)
                    type.Write(new ReadOnlySpan<float>((float*)data + (start + i) * type.Elements, type.Elements), piece.AsSpan(
                        i * type.Bytes, type.Bytes));
            });
            stream.Write(piece, 0, count * type.Bytes);
        }
        GC.KeepAlive(dense);
    }

    private static long Padded(long size) => (size + Alignment - 1) / Alignment * Alignment;

    private static void Pad(Stream stream, long size)
    {
        for (var i = size; i < Padded(size); i++) stream.WriteByte(0);
    }

    private static void Head(Stream stream, int type, int count)
    {
        Int(stream, 9);
        Int(stream, type);
        Long(stream, count);
    }

    private static void Text(Stream stream, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        Long(stream, bytes.Length);
        stream.Write(bytes);
    }

    private static void Int(Stream stream, int value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        stream.Write(bytes);
    }

    private static void Long(Stream stream, long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        stream.Write(bytes);
    }
}
