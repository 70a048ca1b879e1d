using System.IO.MemoryMappedFiles;

namespace Polymath.Tensors.Files;

/// <summary>A file's pages in memory, copied on write: the file itself never changes.</summary>
internal sealed unsafe class MappedPages : IDisposable
{
    private readonly MemoryMappedFile mapping;
    private readonly MemoryMappedViewAccessor view;
    private bool closed;

    internal MappedPages(string path, long length)
    {
        mapping = MemoryMappedFile.CreateFromFile(
            new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete),
            null,
            0,
            MemoryMappedFileAccess.CopyOnWrite,
            HandleInheritability.None,
            leaveOpen: false);
        view = mapping.CreateViewAccessor(0, length, MemoryMappedFileAccess.CopyOnWrite);
        byte* address = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref address);
        Start = address + view.PointerOffset;
    }

    /// <summary>The file's first byte.</summary>
    internal byte* Start { get; }

    public void Dispose()
    {
        if (closed) return;
        closed = true;
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        mapping.Dispose();
    }
}
