using System.Buffers.Binary;
using System.Text.Json;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tensors.Files;

/// <summary>A tensor that is computed just before it is written, so that only one at a time is in memory.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">The type in the file.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Make">Computes it, with that type and shape.</param>
public sealed record PendingTensor(string Name, ScalarType Type, IReadOnlyList<long> Shape, Func<Tensor> Make)
{
    /// <summary>The number of elements.</summary>
    public long Count => Shape.Aggregate(1L, (a, b) => a * b);

    /// <summary>The number of bytes in the file.</summary>
    public long Bytes => Count * SafetensorsWriter.SizeOf(Type);
}

/// <summary>
/// Writes safetensors files as Hugging Face does: names in order within each type, widest types first, metadata <c>{"format": "pt"}</c>.
/// </summary>
public static unsafe class SafetensorsWriter
{
    /// <summary>Writes tensors to a file, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tensors">The tensors by name; any device, any layout.</param>
    /// <param name="metadata">Metadata strings for the file.</param>
    /// <param name="before">Called before each tensor; an exception stops the writing and leaves no file.</param>
    public static void Write(
        string path,
        IReadOnlyDictionary<string, Tensor> tensors,
        IReadOnlyDictionary<string, string>? metadata = null,
        Action? before = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        Write(
            path,
            [.. tensors.Select(pair => new PendingTensor(pair.Key, pair.Value.dtype, pair.Value.shape, () => pair.Value.alias()))],
            metadata,
            before);
    }

    /// <summary>Writes tensors to a file, whole or not at all, each computed just before it is written.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tensors">The tensors.</param>
    /// <param name="metadata">Metadata strings for the file.</param>
    /// <param name="before">Called before each tensor; an exception stops the writing and leaves no file.</param>
    public static void Write(
        string path, IReadOnlyList<PendingTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null, Action? before = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var order = tensors.OrderByDescending(tensor => SizeOf(tensor.Type)).ThenBy(tensor => tensor.Name, StringComparer.Ordinal).ToList();
        var header = Header(order, metadata ?? new Dictionary<string, string> { ["format"] = "pt" });
        AtomicFile.Write(path, stream =>
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
            stream.Write(length);
            stream.Write(header);
            foreach (var pending in order)
            {
                before?.Invoke();
                using var scope = NewDisposeScope();
                var tensor = pending.Make();
                if (tensor.dtype != pending.Type || !tensor.shape.SequenceEqual(pending.Shape))
                    throw new InvalidOperationException($"{pending.Name} is {tensor.dtype} [{string.Join(", ", tensor.shape)}] instead of "
                        + $"{pending.Type} [{string.Join(", ", pending.Shape)}].");
                WriteBytes(stream, tensor);
            }
        });
    }

    internal static int SizeOf(ScalarType type) => ElementKind.Of(ElementKind.NameOf(type)).Size;

    private static byte[] Header(List<PendingTensor> order, IReadOnlyDictionary<string, string> metadata)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            foreach (var (key, value) in metadata) json.WriteString(key, value);
            json.WriteEndObject();
            long at = 0;
            foreach (var tensor in order)
            {
                var size = tensor.Shape.Aggregate((long)SizeOf(tensor.Type), (a, b) => a * b);
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", ElementKind.NameOf(tensor.Type));
                json.WriteStartArray("shape");
                foreach (var x in tensor.Shape) json.WriteNumberValue(x);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(at);
                json.WriteNumberValue(at += size);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        // The data starts at a multiple of eight, so that mapped tensors are aligned.
        while (buffer.Length % 8 != 0) buffer.WriteByte((byte)' ');
        return buffer.ToArray();
    }

    internal static void WriteBytes(Stream stream, Tensor tensor)
    {
        using var scope = NewDisposeScope();
        var dense = tensor.detach().cpu().contiguous();
        var data = dense.numel() == 0 ? null : (byte*)LibTorch.Data(dense);
        var left = dense.numel() * dense.element_size();
        while (left > 0)
        {
            var size = (int)Math.Min(left, 1 << 24);
            stream.Write(new ReadOnlySpan<byte>(data, size));
            data += size;
            left -= size;
        }
        GC.KeepAlive(dense);
    }
}
