using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tensors.Files;

/// <summary>One tensor of a file of weights.</summary>
/// <param name="Type">The type of its elements, once read.</param>
/// <param name="Kind">The type as safetensors writes it, such as <c>F32</c>.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Start">The place of its first element, from the start of the file.</param>
/// <param name="Length">The number of bytes of its elements.</param>
/// <param name="Strides">The distances between its elements, in elements; null when they are contiguous.</param>
public sealed record WeightEntry(
    ScalarType Type,
    string Kind,
    long[] Shape,
    long Start,
    long Length,
    long[]? Strides = null);

/// <summary>
/// A file of weights, memory-mapped. Tensors read from it share its pages and stay valid while it is open; writing to them changes private
/// copies of the pages, never the file.
/// </summary>
public abstract unsafe class WeightFile : IDisposable
{
    private readonly MappedPages? pages;
    private readonly IReadOnlyDictionary<string, WeightEntry> entries;

    private protected WeightFile(string path, IReadOnlyDictionary<string, WeightEntry> entries, MappedPages? pages) =>
        (Path, this.entries, this.pages) = (path, entries, pages);

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The tensors, by name, in the order of the file.</summary>
    public IReadOnlyDictionary<string, WeightEntry> Entries => entries;

    /// <summary>Opens a file of weights. The format is recognised from the content: safetensors, or PyTorch's own.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InputException">The file is missing or damaged, or contains more than weights.</exception>
    public static WeightFile OpenAny(string path) => PickledFile.Begins(path) ? PickledFile.Open(path) : SafetensorsFile.Open(path);

    /// <summary>A tensor of the file's own type over the mapped pages, without a copy; eight-bit floats become bfloat16.</summary>
    /// <param name="name">The tensor's name.</param>
    public Tensor Map(string name)
    {
        var entry = Entry(name);
        if (entry.Length == 0) return empty(entry.Shape.ToArray(), dtype: entry.Type);
        if (ElementKind.IsEightBitFloat(entry.Kind)) return Widened(entry);
        var address = pages!.Start + entry.Start;
        var mapped = LibTorch.FromBlob(address, entry.Shape, entry.Type, entry.Strides);
        // In old files tensors may start at any byte; kernels need aligned elements.
        if ((nint)address % ElementKind.Of(entry.Kind).Size == 0) return mapped;
        using (mapped) return mapped.clone();
    }

    /// <summary>The bytes of a contiguous tensor, [bytes], over the mapped pages, without a copy.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <exception cref="InputException">The elements are not contiguous.</exception>
    public Tensor MapBytes(string name)
    {
        var entry = Entry(name);
        if (entry.Strides is not null) throw new InputException($"{Path}: the elements of {name} are not contiguous.");
        return entry.Length == 0
            ? empty(0, dtype: ScalarType.Byte)
            : LibTorch.FromBlob(pages!.Start + entry.Start, [entry.Length], ScalarType.Byte);
    }

    private Tensor Widened(WeightEntry entry)
    {
        var strides = entry.Strides;
        using var bytes = LibTorch.FromBlob(pages!.Start + entry.Start, entry.Shape, ScalarType.Byte, strides);
        using var dense = bytes.contiguous();
        var result = empty(entry.Shape.ToArray(), dtype: ScalarType.BFloat16);
        var table = ElementKind.EightBitTable(entry.Kind);
        byte* from = (byte*)LibTorch.Data(dense);
        var to = (ushort*)LibTorch.Data(result);
        for (long i = 0; i < entry.Length; i++) to[i] = table[from[i]];
        GC.KeepAlive(dense);
        return result;
    }

    /// <summary>The bytes of a contiguous tensor.</summary>
    /// <param name="name">The tensor's name.</param>
    public ReadOnlySpan<byte> Bytes(string name)
    {
        var entry = Entry(name);
        if (entry.Length == 0) return [];
        if (entry.Strides is not null) throw new InputException($"{Path}: the elements of {name} are not contiguous.");
        return entry.Length > int.MaxValue
            ? throw new InputException($"{Path}: {name} has {entry.Length:N0} bytes, more than one span holds.")
            : new ReadOnlySpan<byte>(pages!.Start + entry.Start, (int)entry.Length);
    }

    /// <summary>Some of the bytes of a contiguous tensor.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="start">The first byte.</param>
    /// <param name="count">The number of bytes.</param>
    internal ReadOnlySpan<byte> Bytes(string name, long start, int count)
    {
        var entry = Entry(name);
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start + count, entry.Length);
        return new ReadOnlySpan<byte>(pages!.Start + entry.Start + start, count);
    }

    /// <summary>Passes a tensor's bytes to a consumer, in pieces and in the order of its elements, without holding them all.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="take">Receives a piece.</param>
    public void Pour(string name, Action<ReadOnlyMemory<byte>> take)
    {
        ArgumentNullException.ThrowIfNull(take);
        var entry = Entry(name);
        if (entry.Length == 0) return;
        var type = ElementKind.IsEightBitFloat(entry.Kind) ? ScalarType.Byte : entry.Type;
        using var spread = entry.Strides is null
            ? null
            : LibTorch.FromBlob(pages!.Start + entry.Start, entry.Shape, type, entry.Strides);
        using var dense = spread?.contiguous();
        var start = dense is null ? pages!.Start + entry.Start : (byte*)LibTorch.Data(dense);
        var piece = new byte[Math.Min(entry.Length, 1 << 20)];
        for (long at = 0; at < entry.Length; at += piece.Length)
        {
            var size = (int)Math.Min(piece.Length, entry.Length - at);
            new ReadOnlySpan<byte>(start + at, size).CopyTo(piece);
            take(piece.AsMemory(0, size));
        }
        GC.KeepAlive(dense);
    }

    private WeightEntry Entry(string name)
    {
        if (entries.TryGetValue(name, out var entry)) return entry;
        var known = string.Join(", ", entries.Keys.Take(8)) + (entries.Count > 8 ? ", ..." : "");
        throw new InputException($"{Path} has no tensor {name}. It has: {known}");
    }

    /// <summary>Closes the mapping. Tensors made from it must not be used any more.</summary>
    public void Dispose()
    {
        pages?.Dispose();
        GC.SuppressFinalize(this);
    }
}
