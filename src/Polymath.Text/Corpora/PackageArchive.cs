using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Checks and unpacks the archives of packages.</summary>
internal static class PackageArchive
{
    /// <summary>The SHA-512 of a file, in base64.</summary>
    public static string DigestOf(string file)
    {
        using var stream = File.OpenRead(file);
        return Convert.ToBase64String(SHA512.HashData(stream));
    }

    /// <summary>Unpacks an archive into a new folder, without the archive's top folder.</summary>
    /// <exception cref="InputException">The archive is damaged, or an entry would be outside of the folder or is a link.</exception>
    public static void Unpack(string archive, string folder)
    {
        Directory.CreateDirectory(folder);
        try
        {
            using var file = File.OpenRead(archive);
            using var plain = new GZipStream(file, CompressionMode.Decompress);
            using var reader = new TarReader(plain);
            while (reader.GetNextEntry() is { } entry)
            {
                if (entry.EntryType is TarEntryType.GlobalExtendedAttributes or TarEntryType.Directory)
                    continue;
                if (entry.EntryType is not (TarEntryType.RegularFile or TarEntryType.V7RegularFile))
                    throw Refused(archive, entry.Name, $"is a {entry.EntryType}");
                var target = Path.Combine(folder, SafePath(archive, entry.Name));
                Directory.CreateDirectory(Path.GetDirectoryName(target)!);
                using var output = new FileStream(target, FileMode.CreateNew, FileAccess.Write);
                entry.DataStream?.CopyTo(output);
            }
        }
        catch (Exception fault) when (fault is InvalidDataException or EndOfStreamException or FormatException)
        {
            throw new InputException($"{archive} is damaged: {fault.Message} Fetch it again.", fault);
        }
    }

    private static string SafePath(string archive, string name)
    {
        var parts = name.Split('/');
        if (parts.Length < 2 || name.AsSpan().IndexOfAny("\\:\0") >= 0 || parts.Any(part => part is "" or "." or ".."))
            throw Refused(archive, name, "would be outside of the package's folder");
        return Path.Combine(parts[1..]);
    }

    private static InputException Refused(string archive, string name, string why) =>
        new($"{archive}: the entry '{name}' {why}, which no data package needs; nothing was unpacked. Choose another package.");
}
