using Polymath.Recipes;

namespace Polymath.Tensors.Files;

/// <summary>A safetensors file.</summary>
public sealed class SafetensorsFile : WeightFile
{
    private readonly SafetensorsHeader header;

    private SafetensorsFile(string path, SafetensorsHeader header, long length)
        : base(path, header.Entries, length == header.DataStart ? null : new MappedPages(path, length)) => this.header = header;

    /// <summary>The metadata strings of the file.</summary>
    public IReadOnlyDictionary<string, string> Metadata => header.Metadata;

    /// <summary>Opens a file and checks its header against its size.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InputException">The file is missing or truncated, or its header is wrong.</exception>
    public static SafetensorsFile Open(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return new SafetensorsFile(path, SafetensorsHeader.Read(stream, path), stream.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path} cannot be read: {e.Message} Check the path.", e);
        }
    }
}
