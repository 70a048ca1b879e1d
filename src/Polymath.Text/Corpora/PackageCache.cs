using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Stores data packages. Each is checked against its SHA-512 before use. A package is fetched once and then read without a network. Several
/// processes may use one cache at the same time.
/// </summary>
public sealed class PackageCache
{
    // A package's folder has 'files', and a marker with the digest that was checked.
    private const string Marker = "sha512", Content = "files";
    private const int MostPauses = 18000;
    private static readonly TimeSpan LockPause = TimeSpan.FromMilliseconds(100);
    private readonly PackageFetcher fetcher;

    /// <summary>Opens a cache; its folder is made when something is put in.</summary>
    /// <param name="folder">The folder; when left out <c>$POLYMATH_CACHE</c>, or <c>polymath</c> in the user's cache folder.</param>
    /// <param name="npm">The npm client: a name on the PATH, or a file.</param>
    public PackageCache(string? folder = null, string? npm = null)
    {
        Folder = Path.GetFullPath(folder ?? DefaultFolder());
        fetcher = new(npm ?? (OperatingSystem.IsWindows() ? "npm.cmd" : "npm"));
    }

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>Whether a path of a recipe is the address of a package's files.</summary>
    public static bool IsAddress(string path) => path.StartsWith(PackageAddress.Prefix, StringComparison.Ordinal);

    /// <summary>The local files of an address; the package is fetched when it is missing.</summary>
    /// <param name="address"><c>npm:PACKAGE@VERSION/path/glob</c>.</param>
    /// <param name="sha512">The SHA-512 of the package's archive in base64, with or without <c>sha512-</c>.</param>
    /// <param name="progress">Receives the progress of fetching; null for none.</param>
    /// <param name="alike">Other addresses that will be needed: when this one cannot be fetched, the message also names their missing
    /// packages.</param>
    /// <param name="cancellation">Ends the work; incomplete files are removed.</param>
    /// <returns>The files, in ordinal order.</returns>
    /// <exception cref="InputException">The address or the digest is wrong, the package cannot be fetched, or no file matches.</exception>
    public IReadOnlyList<string> Resolve(
        string address,
        string? sha512,
        CorpusProgress? progress = null,
        IEnumerable<string>? alike = null,
        CancellationToken cancellation = default)
    {
        var package = PackageAddress.Parse(address);
        var digest = CheckedDigest(package, sha512);
        // The digest is part of the name: another digest is another package.
        var folder = Path.Combine(
            Folder, "npm", $"{package.FolderName}-{Convert.ToHexStringLower(Convert.FromBase64String(digest).AsSpan(0, 8))}");
        try
        {
            if (!IsVerified(folder, digest))
            {
                progress?.Invoke($"fetching and checking {package.Name}@{package.Version}", 0, 0);
                Obtain(
                    package,
                    digest,
                    folder,
                    alike ?? [],
                    cancellation);
            }

            return FilePattern.Find(Path.Combine(folder, Content), package.Path);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new InputException(
                $"the package cache {Folder} cannot be used: {fault.Message} Set POLYMATH_CACHE to another folder.",
                fault);
        }
    }

    private static string DefaultFolder()
    {
        if (Environment.GetEnvironmentVariable("POLYMATH_CACHE") is { Length: > 0 } own)
            return own;
        if (Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } shared)
            return Path.Combine(shared, "polymath");
        return OperatingSystem.IsWindows()
            ? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "polymath", "cache")
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "polymath");
    }

    private static string CheckedDigest(PackageAddress package, string? sha512)
    {
        var digest = sha512?.Trim() ?? throw new InputException(
            $"{package.Name}@{package.Version} needs its SHA-512. Add 'sha512:' with what 'npm view {package.Name}@{package.Version} "
            + $"dist.integrity' prints.");
        if (digest.StartsWith("sha512-", StringComparison.Ordinal))
            digest = digest["sha512-".Length..];
        var bytes = new byte[64];
        return Convert.TryFromBase64String(digest, bytes, out var count) && count == bytes.Length
            ? digest
            : throw new InputException($"the SHA-512 of {package.Name}@{package.Version} must be 64 bytes in base64 (88 characters), found "
                + $"'{sha512}'. Copy it from 'npm view {package.Name}@{package.Version} dist.integrity'.");
    }

    private static bool IsVerified(string folder, string digest)
    {
        var marker = Path.Combine(folder, Marker);
        return File.Exists(marker) && File.ReadAllText(marker) == digest;
    }

    // All packages together, so that the user has to go to the other machine only once.
    private string ByHand(IReadOnlyList<PackageAddress> packages) =>
        $"Get {string.Join(" and ", packages.Select(package => package.ArchiveName))} on another machine (npm pack "
            + $"{string.Join(' ', packages.Select(package => $"{package.Name}@{package.Version}"))}) and put "
            + $"{(packages.Count == 1 ? "it" : "them")} into {Folder}.";

    private bool IsThere(PackageAddress package)
    {
        var kept = Path.Combine(Folder, "npm");
        return File.Exists(Path.Combine(Folder, package.ArchiveName))
            || Directory.Exists(kept)
                && Directory.EnumerateDirectories(kept, package.FolderName + "-*").Any(folder => File.Exists(Path.Combine(folder, Marker)));
    }

    private void Obtain(
        PackageAddress package,
        string digest,
        string folder,
        IEnumerable<string> alike,
        CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(folder)!);
        using var guard = Lock(folder + ".lock", cancellation);
        if (IsVerified(folder, digest))
            return;
        // Only one process can hold the lock, so incomplete files come from an interrupted process.
        var work = folder + ".part";
        Delete(work);
        Delete(folder);
        Directory.CreateDirectory(Path.Combine(work, "archive"));
        try
        {
            var byHand = ByHand([package, .. alike.Select(PackageAddress.Parse)
                .Where(other => other.ArchiveName != package.ArchiveName && !IsThere(other)).DistinctBy(other => other.ArchiveName)]);
            var placed = Path.Combine(Folder, package.ArchiveName);
            var archive = File.Exists(placed) ? placed : fetcher.Fetch(package, Path.Combine(work, "archive"), byHand, cancellation);
            var found = PackageArchive.DigestOf(archive);
            if (found != digest)
            {
                throw new InputException(
                    $"{package.Name}@{package.Version} is not the package of the recipe: "
                        + $"{(archive == placed ? placed : "the package that npm fetched")} has the SHA-512 {found}, the recipe says "
                        + $"{digest}. Nothing was kept. If you trust it, write its digest into the recipe.");
            }

            var unpacked = Path.Combine(work, "unpacked");
            PackageArchive.Unpack(archive, Path.Combine(unpacked, Content));
            AtomicFile.Write(Path.Combine(unpacked, Marker), System.Text.Encoding.ASCII.GetBytes(digest));
            Directory.Move(unpacked, folder);
        }
        finally
        {
            Delete(work);
        }
    }

    private static void Delete(string folder)
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, true);
    }

    // The file stays when the lock is released: after a deletion, two processes could hold locks on two files of the same name.
    private static FileStream Lock(string file, CancellationToken cancellation)
    {
        for (var pauses = 0; ; pauses++)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (File.Exists(file) && pauses < MostPauses)
            {
                cancellation.WaitHandle.WaitOne(LockPause);
            }
        }
    }
}
