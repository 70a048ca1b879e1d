using System.IO.MemoryMappedFiles;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tensors.Files;

/// <summary>
/// A safetensors file, memory-mapped. Tensors read from it share its pages and stay valid while it is open; writing to them changes private copies of the
/// pages, never the file.
/// </summary>
public sealed unsafe class SafetensorsFile : IDisposable
{
    readonly MemoryMappedFile? mapping;
    readonly MemoryMappedViewAccessor? view;
    readonly byte* start;
    readonly SafetensorsHeader header;
    bool closed;

    SafetensorsFile(string path, SafetensorsHeader header, long length)
    {
        (Path, this.header) = (path, header);
        if (length == header.DataStart) return;
        mapping = MemoryMappedFile.CreateFromFile(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete), null, 0, MemoryMappedFileAccess.CopyOnWrite, HandleInheritability.None, leaveOpen: false);
        view = mapping.CreateViewAccessor(0, length, MemoryMappedFileAccess.CopyOnWrite);
        byte* address = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref address);
        start = address + view.PointerOffset + header.DataStart;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The tensors, by name, in the order of the file.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Entries => header.Entries;

    /// <summary>The strings that stand beside the tensors.</summary>
    public IReadOnlyDictionary<string, string> Metadata => header.Metadata;

    /// <summary>Opens a file and checks its header against its size.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InputException">The file is missing, truncated, or its header lies.</exception>
    public static SafetensorsFile Open(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return new SafetensorsFile(path, SafetensorsHeader.Read(stream, path), stream.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path} cannot be read: {e.Message}", e);
        }
    }

    /// <summary>A tensor of the file's own type over the mapped pages, without a copy.</summary>
    /// <param name="name">The tensor's name.</param>
    public Tensor Map(string name)
    {
        var entry = Entry(name);
        return entry.Length == 0 ? empty(entry.Shape.ToArray(), dtype: entry.Type) : LibTorch.FromBlob(start + entry.Start, entry.Shape, entry.Type);
    }

    /// <summary>The bytes of a tensor.</summary>
    /// <param name="name">The tensor's name.</param>
    public ReadOnlySpan<byte> Bytes(string name)
    {
        var entry = Entry(name);
        return entry.Length > int.MaxValue
            ? throw new InputException($"{Path}: {name} has {entry.Length:N0} bytes, more than one span holds.")
            : new ReadOnlySpan<byte>(start + entry.Start, (int)entry.Length);
    }

    /// <summary>Gives each tensor's bytes to a consumer, in pieces, without holding them all.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="take">Takes a piece.</param>
    public void Pour(string name, Action<ReadOnlyMemory<byte>> take)
    {
        ArgumentNullException.ThrowIfNull(take);
        var entry = Entry(name);
        var piece = new byte[Math.Min(entry.Length, 1 << 20)];
        for (long at = 0; at < entry.Length; at += piece.Length)
        {
            var size = (int)Math.Min(piece.Length, entry.Length - at);
            new ReadOnlySpan<byte>(start + entry.Start + at, size).CopyTo(piece);
            take(piece.AsMemory(0, size));
        }
    }

    SafetensorsEntry Entry(string name) => header.Entries.TryGetValue(name, out var entry)
        ? entry
        : throw new InputException($"{Path} has no tensor {name}. It has: {string.Join(", ", header.Entries.Keys.Take(8))}{(header.Entries.Count > 8 ? ", ..." : "")}");

    /// <summary>Closes the mapping. Tensors made from it must not be used any more.</summary>
    public void Dispose()
    {
        if (view is null || closed) return;
        closed = true;
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        mapping!.Dispose();
    }
}
