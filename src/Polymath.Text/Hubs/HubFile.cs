using System.Buffers;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>A file of a repository.</summary>
/// <param name="Path">Its path, with slashes.</param>
/// <param name="Size">Its bytes; -1 where the listing does not say.</param>
/// <param name="Sha256">Its SHA-256 in hexadecimal, of large files and all of ModelScope's; null where the hub does not say.</param>
/// <param name="BlobId">Its git blob's SHA-1, of small files; null where the hub does not say.</param>
public sealed record HubFile(string Path, long Size, string? Sha256 = null, string? BlobId = null)
{
    private const int LongestPath = 1024, LongestName = 255;
    private static readonly SearchValues<char> RefusedByWindows = SearchValues.Create(":*?\"<>|");

    /// <summary>What the content is called in a cache: its digest. Empty where the listing does not say.</summary>
    public string Key => Sha256 ?? BlobId ?? "";

    /// <summary>
    /// Checks what a hub says of a file before anything is written: a name must stay inside its folder on every system, a digest must be
    /// one.
    /// </summary>
    /// <param name="source">What to call the repository in messages.</param>
    /// <exception cref="InputException">It does not hold.</exception>
    internal void Check(string source)
    {
        var problem = NameFault(Path)
            ?? (Sha256 is not null && !IsHex(Sha256, 64)
                ? "has a SHA-256 that is none"
                : BlobId is not null && !IsHex(BlobId, 40) ? "has a git digest that is none"
                : null);
        if (problem is not null)
            throw new InputException($"{source} lists the file {Shown(Path)}, which {problem}. Nothing was fetched. Do not use this "
                + "repository, or tell its owner.");
    }

    /// <summary>Why a name may not be used as a path; null when it may.</summary>
    internal static string? NameFault(string path)
    {
        if (path.Length is 0 or > LongestPath) return "has no name that can be used";
        if (path.Any(character => char.IsControl(character) || character == '\\')) return "has characters that no file may have here";
        if (OperatingSystem.IsWindows() && path.AsSpan().ContainsAny(RefusedByWindows)) return "has characters that no file may have here";
        if (path[0] == '/' || (path.Length > 1 && path[1] == ':')) return "lies outside the repository";
        if (path.Split('/').Any(part => part is "" or "." or ".." || Encoding.UTF8.GetByteCount(part) > LongestName))
            return "lies outside the repository, or has too long a name";
        return null;
    }

    /// <summary>Whether a text is so many hexadecimal digits.</summary>
    internal static bool IsHex(string text, int length) => text.Length == length && text.All(char.IsAsciiHexDigitLower);

    // A hostile name is shown without what it might do to a terminal.
    private static string Shown(string path) =>
        $"'{string.Concat(path.Take(80).Select(character => char.IsControl(character) ? '?' : character))}'";
}

/// <summary>The files of a repository at one commit.</summary>
/// <param name="Commit">The commit.</param>
/// <param name="Files">The files.</param>
public sealed record HubListing(string Commit, IReadOnlyList<HubFile> Files);
