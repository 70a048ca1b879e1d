using System.Buffers;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>A file of a repository.</summary>
/// <param name="Path">Its path, with slashes.</param>
/// <param name="Size">Its size in bytes; -1 when the listing does not state it.</param>
/// <param name="Sha256">Its SHA-256 in hexadecimal, for large files and all of ModelScope's; null when the hub does not state it.</param>
/// <param name="BlobId">Its git blob's SHA-1, for small files; null when the hub does not state it.</param>
public sealed record HubFile(string Path, long Size, string? Sha256 = null, string? BlobId = null)
{
    private const int LongestPath = 1024, LongestName = 255;
    private static readonly SearchValues<char> RefusedByWindows = SearchValues.Create(":*?\"<>|");

    /// <summary>The name of the content in a cache: its digest. Empty when the listing has none.</summary>
    public string Key => Sha256 ?? BlobId ?? "";

    /// <summary>
    /// Checks a hub's data of a file before anything is written: a name must stay inside its folder on every system, and a digest must be
    /// valid.
    /// </summary>
    /// <param name="source">The repository's name in messages.</param>
    /// <exception cref="InputException">The data is not valid.</exception>
    internal void Check(string source)
    {
        var problem = NameFault(Path)
            ?? (Sha256 is not null && !IsHex(Sha256, 64) ? "has an invalid SHA-256" : null)
            ?? (BlobId is not null && !IsHex(BlobId, 40) ? "has an invalid git digest" : null);
        if (problem is not null)
            throw new InputException($"{source} lists the file {Shown(Path)}, which {problem}. Nothing was fetched. Do not use this "
                + "repository, or tell its owner.");
    }

    /// <summary>The reason why a name cannot be used as a path; null when it can.</summary>
    internal static string? NameFault(string path)
    {
        if (path.Length is 0 or > LongestPath) return "has no usable name";
        if (path.Any(character => char.IsControl(character) || character == '\\')) return "has characters that no file name may have";
        if (OperatingSystem.IsWindows() && path.AsSpan().ContainsAny(RefusedByWindows)) return "has characters that no file name may have";
        if (path[0] == '/' || (path.Length > 1 && path[1] == ':')) return "lies outside the repository";
        if (path.Split('/').Any(part => part is "" or "." or ".." || Encoding.UTF8.GetByteCount(part) > LongestName))
            return "lies outside the repository, or has too long a name";
        return null;
    }

    /// <summary>Whether a text consists of a number of hexadecimal digits.</summary>
    internal static bool IsHex(string text, int length) => text.Length == length && text.All(char.IsAsciiHexDigitLower);

    // A hostile name is shown without control characters for a terminal.
    private static string Shown(string path) =>
        $"'{string.Concat(path.Take(80).Select(character => char.IsControl(character) ? '?' : character))}'";
}

/// <summary>The files of a repository at one commit.</summary>
/// <param name="Commit">The commit.</param>
/// <param name="Files">The files.</param>
public sealed record HubListing(string Commit, IReadOnlyList<HubFile> Files);
