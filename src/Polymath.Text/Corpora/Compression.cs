using Polymath.Recipes;
using SharpCompress.Compressors;
using SharpCompress.Compressors.BZip2;
using ZstdSharp;

namespace Polymath.Text;

/// <summary>Compressed files: gzip, Zstandard, xz and bzip2. They are recognised by their first bytes, not by their names.</summary>
internal static class Compression
{
    private static readonly string[] Endings = [".gz", ".gzip", ".zst", ".zstd", ".xz", ".bz2"];

    private static readonly (string Name, byte[] Magic)[] Archives =
    [
        ("a zip archive", "PK\u0003\u0004"u8.ToArray()),
        ("a 7z archive", [0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C]),
        ("a Parquet file", "PAR1"u8.ToArray()),
        ("an Arrow file", "ARROW1"u8.ToArray()),
    ];

    /// <summary>The name of the content of a file: the file's name without the ending of a compression.</summary>
    /// <param name="file">The file.</param>
    public static string Bare(string file) =>
        Endings.Contains(Path.GetExtension(file).ToLowerInvariant()) ? file[..^Path.GetExtension(file).Length] : file;

    /// <summary>Opens the content of a file.</summary>
    /// <param name="file">The file's name, for messages.</param>
    /// <param name="inner">The file, which is closed with the returned stream.</param>
    /// <param name="head">The file's first bytes.</param>
    /// <exception cref="InputException">It is an archive of files.</exception>
    public static Stream Open(string file, Stream inner, ReadOnlySpan<byte> head)
    {
        if (head.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B]))
            return new GzipMembers(inner);
        if (head.StartsWith((ReadOnlySpan<byte>)[0x28, 0xB5, 0x2F, 0xFD]))
            return new DecompressionStream(inner, leaveOpen: false);
        if (head.StartsWith(XzMembers.Magic))
            return new XzMembers(inner);
        if (head.StartsWith("BZh"u8) && head.Length > 4 && head[3] is >= (byte)'1' and <= (byte)'9' && head[4] is 0x31 or 0x17)
            return BZip2Stream.Create(inner, CompressionMode.Decompress, decompressConcatenated: true, leaveOpen: false);
        foreach (var (name, magic) in Archives)
        {
            if (head.StartsWith(magic))
                throw new InputException($"{file} is {name}, not text. {Advice(name)}");
        }
        return inner;
    }

    private static string Advice(string name)
    {
        if (name.Contains("archive", StringComparison.Ordinal))
            return "Unpack it, and name the files in it.";
        var format = name.Contains("Arrow", StringComparison.Ordinal) ? "arrow" : "parquet";
        return $"Set its format: 'format: {format}' in a recipe, --format {format} in a command.";
    }
}
