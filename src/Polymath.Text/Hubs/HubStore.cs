using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>A repository in a cache, for a listing.</summary>
/// <param name="Source">Its address.</param>
/// <param name="Revisions">The cached commits, each with the revisions that refer to it.</param>
/// <param name="Bytes">The size of its files.</param>
/// <param name="IncompleteBytes">The size of incomplete files.</param>
/// <param name="Folder">Its folder.</param>
public sealed record CachedRepository(
    string Source,
    IReadOnlyDictionary<string, IReadOnlyList<string>> Revisions,
    long Bytes,
    long IncompleteBytes,
    string Folder);

/// <summary>One repository's place in a hub's cache.</summary>
internal abstract class HubStore(HubAddress address)
{
    private const int ListingFormat = 1;

    /// <summary>The repository.</summary>
    protected HubAddress Address => address;

    /// <summary>The place of a repository.</summary>
    public static HubStore Of(HubAddress address, HubSettings settings) => address.Hub == HubName.HuggingFace
        ? new HuggingFaceStore(address, settings.HuggingFace.Cache, settings.Links)
        : new ModelScopeStore(address, settings.ModelScope.Cache);

    /// <summary>The folder that holds a commit's files under their names.</summary>
    public abstract string Snapshot(string commit);

    /// <summary>The commit of a revision at its last fetch; null when it was never fetched.</summary>
    public abstract string? CommitOf(string? revision);

    /// <summary>Whether a file of a commit is there and complete.</summary>
    public abstract bool Has(string commit, HubFile file);

    /// <summary>The place of a file's content, its name until it is complete, and the file that guards it.</summary>
    public abstract (string Content, string Incomplete, string Guard) PlacesOf(HubFile file);

    /// <summary>Gives complete contents their names in a commit's folder.</summary>
    public abstract void Publish(string commit, IReadOnlyList<HubFile> files);

    /// <summary>Records the commit of a revision, and its files.</summary>
    public void Record(HubListing listing, string? revision)
    {
        // A commit never changes, but a branch does.
        if (!HubFile.IsHex(listing.Commit, 40) || !File.Exists(ListingFile(listing.Commit)))
            AtomicFile.WriteText(ListingFile(listing.Commit), JsonSerializer.Serialize(new
            {
                format_version = ListingFormat,
                files = listing.Files.ToDictionary(
                    file => file.Path, file => new { size = file.Size, blob_id = file.BlobId, lfs_sha256 = file.Sha256 }),
            }));
        RecordRevision(listing.Commit, revision);
    }

    /// <summary>Records that a commit does not have some files, so that they are not requested again.</summary>
    public virtual void RecordAbsent(string commit, IEnumerable<string> names)
    {
    }

    /// <summary>
    /// All files of a commit, if they were recorded: by us, or in the same form by Hugging Face's library. Null when they were not.
    /// </summary>
    public HubListing? Listing(string commit)
    {
        foreach (var file in new[] { ListingFile(commit), TreeFile(commit) }.OfType<string>().Where(File.Exists))
        {
            try
            {
                if (JsonNode.Parse(File.ReadAllBytes(file)) is not JsonObject root
                    || (int?)root["format_version"] != ListingFormat || root["files"] is not JsonObject files)
                    continue;
                var listing = new HubListing(commit, [.. files.Select(pair => new HubFile(
                    pair.Key, (long?)pair.Value?["size"] ?? -1, (string?)pair.Value?["lfs_sha256"], (string?)pair.Value?["blob_id"]))]);
                foreach (var entry in listing.Files) entry.Check(file);
                return listing;
            }
            catch (Exception fault) when (fault is JsonException or InvalidOperationException or FormatException)
            {
                // A note that cannot be read is ignored.
            }
        }
        return null;
    }

    /// <summary>The cached files of a commit.</summary>
    public IReadOnlyList<string> FilesOf(string commit)
    {
        var folder = Snapshot(commit);
        return !Directory.Exists(folder) ? [] : [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(folder, file).Replace('\\', '/'))
            .Where(name => HubFile.NameFault(name) is null && IsContent(name) && IsFile(Path.Combine(folder, name)))
            .Order(StringComparer.Ordinal)];
    }

    /// <summary>Whether there is a file, or a link to an existing file; other checks treat a broken link as a file.</summary>
    internal static bool IsFile(string file) => File.Exists(file)
        && (new FileInfo(file).LinkTarget is null || File.ResolveLinkTarget(file, returnFinalTarget: true) is { Exists: true });

    /// <summary>The bytes of a file, or of a link's target.</summary>
    internal static long LengthOf(string file)
    {
        using var handle = File.OpenHandle(file);
        return RandomAccess.GetLength(handle);
    }

    /// <summary>The file of a name inside a folder. Its folders must not be links to other places.</summary>
    /// <exception cref="InputException">They are.</exception>
    protected static string Inside(string folder, string name)
    {
        var at = folder;
        foreach (var part in name.Split('/').SkipLast(1))
        {
            at = Path.Combine(at, part);
            if (new DirectoryInfo(at).LinkTarget is not null || File.Exists(at))
                throw new InputException($"{at} is not a folder but {(File.Exists(at) ? "a file" : "a link")}, but '{name}' must be "
                    + "written. Remove it.");
        }
        return Path.Combine(folder, Path.Combine(name.Split('/')));
    }

    /// <summary>The folder of our own notes.</summary>
    protected abstract string Notes { get; }

    /// <summary>The file in which Hugging Face's library records a commit's files; null when there is none.</summary>
    protected virtual string? TreeFile(string commit) => null;

    /// <summary>Whether a name in a commit's folder is one of the repository's files.</summary>
    protected virtual bool IsContent(string name) => true;

    /// <summary>Records the commit of a revision.</summary>
    protected abstract void RecordRevision(string commit, string? revision);

    private string ListingFile(string commit) => Path.Combine(Notes, Uri.EscapeDataString(commit) + ".json");
}
