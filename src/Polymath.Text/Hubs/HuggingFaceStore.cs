using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>
/// The cache of Hugging Face's Python library, in exactly its layout: <c>models--ORG--NAME/blobs/DIGEST</c>, <c>refs/REVISION</c> with a
/// commit, <c>snapshots/COMMIT/PATH</c> as a relative link to a blob, <c>.no_exist/COMMIT/PATH</c> for files that are known to be missing,
/// <c>.locks</c> next to the repositories.
/// </summary>
internal sealed class HuggingFaceStore(HubAddress address, string cache, bool links) : HubStore(address)
{
    private const string MainBranch = "main";
    private readonly string name =
        $"{(address.IsData ? "datasets" : "models")}--{address.Repository.Replace("/", "--", StringComparison.Ordinal)}";

    private string Root => Path.Combine(cache, name);

    /// <inheritdoc/>
    protected override string Notes => Path.Combine(Root, ".polymath");

    /// <inheritdoc/>
    public override string Snapshot(string commit) => Path.Combine(Root, "snapshots", commit);

    /// <inheritdoc/>
    public override string? CommitOf(string? revision)
    {
        if (revision is not null && HubFile.IsHex(revision, 40)) return revision;
        var file = Path.Combine(Root, "refs", Path.Combine((revision ?? MainBranch).Split('/')));
        var commit = File.Exists(file) ? File.ReadAllText(file).Trim() : null;
        return commit is not null && HubFile.IsHex(commit, 40) ? commit : null;
    }

    /// <inheritdoc/>
    public override bool Has(string commit, HubFile file)
    {
        var pointer = Path.Combine(Snapshot(commit), Path.Combine(file.Path.Split('/')));
        if (!IsFile(pointer)) return false;
        if (!LeadsInside(pointer)) throw new InputException($"{pointer} is a link to a place outside the cache. Remove it.");
        return file.Size < 0 || LengthOf(pointer) == file.Size;
    }

    /// <inheritdoc/>
    public override (string Content, string Incomplete, string Guard) PlacesOf(HubFile file)
    {
        var blob = Path.Combine(Root, "blobs", file.Key);
        return (blob, blob + ".incomplete", Path.Combine(cache, ".locks", name, file.Key + ".lock"));
    }

    /// <inheritdoc/>
    public override void Publish(string commit, IReadOnlyList<HubFile> files)
    {
        foreach (var file in files)
        {
            var pointer = Inside(Snapshot(commit), file.Path);
            if (Has(commit, file)) continue;
            Directory.CreateDirectory(Path.GetDirectoryName(pointer)!);
            var blob = PlacesOf(file).Content;
            var temporary = $"{pointer}.{Guid.NewGuid():N}.tmp";
            try
            {
                if (!TryLink(temporary, Path.GetRelativePath(Path.GetDirectoryName(pointer)!, blob))) File.Copy(blob, temporary);
                File.Move(temporary, pointer, overwrite: true);
            }
            finally
            {
                File.Delete(temporary);
            }
        }
    }

    /// <inheritdoc/>
    public override void RecordAbsent(string commit, IEnumerable<string> names)
    {
        var folder = Path.Combine(Root, ".no_exist", commit);
        foreach (var name in names.Where(name => !File.Exists(Path.Combine(folder, name))))
            AtomicFile.WriteText(Path.Combine(folder, name), "");
    }

    /// <summary>The repositories of a cache.</summary>
    public static IEnumerable<CachedRepository> All(string cache)
    {
        foreach (var root in (Directory.Exists(cache) ? Directory.GetDirectories(cache) : []).Order(StringComparer.Ordinal))
        {
            var parts = Path.GetFileName(root).Split("--");
            if (parts is not ["models" or "datasets", .. { Length: 1 or 2 } name]) continue;
            var refs = Path.Combine(root, "refs");
            var named = (Directory.Exists(refs) ? Directory.EnumerateFiles(refs, "*", SearchOption.AllDirectories) : [])
                .Where(file => !file.EndsWith(".tmp", StringComparison.Ordinal))
                .ToLookup(file => File.ReadAllText(file).Trim(), file => Path.GetRelativePath(refs, file).Replace('\\', '/'));
            var snapshots = Path.Combine(root, "snapshots");
            var revisions = (Directory.Exists(snapshots) ? Directory.GetDirectories(snapshots) : [])
                .Select(folder => Path.GetFileName(folder)).Order(StringComparer.Ordinal)
                .ToDictionary(commit => commit, commit => (IReadOnlyList<string>)[.. named[commit].Order(StringComparer.Ordinal)]);
            // Links do not count: their targets are counted as blobs.
            var files = new[] { Path.Combine(root, "blobs"), snapshots }.Where(Directory.Exists)
                .SelectMany(folder => new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories))
                .Where(file => file.LinkTarget is null)
                .ToList();
            var incomplete = files.Where(file => file.Name.EndsWith(".incomplete", StringComparison.Ordinal)).Sum(file => file.Length);
            yield return new CachedRepository(
                $"hf:{(parts[0] == "datasets" ? "datasets/" : "")}{string.Join('/', name)}",
                revisions,
                files.Sum(file => file.Length) - incomplete,
                incomplete,
                root);
        }
    }

    /// <inheritdoc/>
    protected override string? TreeFile(string commit) => Path.Combine(Root, "trees", commit + ".json");

    /// <inheritdoc/>
    protected override bool IsContent(string name) => !name.EndsWith(".tmp", StringComparison.Ordinal);

    /// <inheritdoc/>
    protected override void RecordRevision(string commit, string? revision)
    {
        if (revision == commit) return;
        var file = Inside(Path.Combine(Root, "refs"), revision ?? MainBranch);
        if (!File.Exists(file) || File.ReadAllText(file) != commit) AtomicFile.WriteText(file, commit);
    }

    // A link may lead only to the repository's own blobs.
    private bool LeadsInside(string pointer) => new FileInfo(pointer).LinkTarget is not { } target
        || Path.GetFullPath(target, Path.GetDirectoryName(pointer)!)
            .StartsWith(Path.GetFullPath(Root) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private bool TryLink(string pointer, string target)
    {
        if (!links) return false;
        try
        {
            File.CreateSymbolicLink(pointer, target);
            return true;
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or PlatformNotSupportedException)
        {
            // On Windows, the user may lack the right to make links.
            return false;
        }
    }
}
