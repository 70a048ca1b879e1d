using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>A repository in a cache, for looking at it.</summary>
/// <param name="Source">Its address.</param>
/// <param name="Revisions">The commits that are there, each with the names that lead to it.</param>
/// <param name="Bytes">The size of its files.</param>
/// <param name="IncompleteBytes">The size of what is not whole yet.</param>
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

    /// <summary>The commit that a revision led to when it was last fetched; null when it never was.</summary>
    public abstract string? CommitOf(string? revision);

    /// <summary>Whether a file of a commit is there, whole.</summary>
    public abstract bool Has(string commit, HubFile file);

    /// <summary>
    /// Where a file's content goes, the name it has until it is whole, and the file that says that somebody is at work on it.
    /// </summary>
    public abstract (string Content, string Incomplete, string Guard) PlacesOf(HubFile file);

    /// <summary>Gives contents that are whole their names in a commit's folder.</summary>
    public abstract void Publish(string commit, IReadOnlyList<HubFile> files);

    /// <summary>Writes down which commit a revision leads to, and which files it has.</summary>
    public void Record(HubListing listing, string? revision)
    {
        // A commit never changes; what only has a branch's name does.
        if (!HubFile.IsHex(listing.Commit, 40) || !File.Exists(ListingFile(listing.Commit)))
            AtomicFile.WriteText(ListingFile(listing.Commit), JsonSerializer.Serialize(new
            {
                format_version = ListingFormat,
                files = listing.Files.ToDictionary(
                    file => file.Path, file => new { size = file.Size, blob_id = file.BlobId, lfs_sha256 = file.Sha256 }),
            }));
        RecordRevision(listing.Commit, revision);
    }

    /// <summary>Writes down that a commit does not have some files, so that nobody asks for them again.</summary>
    public virtual void RecordAbsent(string commit, IEnumerable<string> names)
    {
    }

    /// <summary>
    /// All files of a commit, where they were written down: by us, or in the same form by Hugging Face's library. Null when nobody did.
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
                // A note that cannot be read is as good as none.
            }
        }
        return null;
    }

    /// <summary>The files of a commit that are there.</summary>
    public IReadOnlyList<string> FilesOf(string commit)
    {
        var folder = Snapshot(commit);
        return !Directory.Exists(folder) ? [] : [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(folder, file).Replace('\\', '/'))
            .Where(name => HubFile.NameFault(name) is null && IsContent(name) && IsFile(Path.Combine(folder, name)))
            .Order(StringComparer.Ordinal)];
    }

    /// <summary>Whether there is a file, or a link that leads to one: a link to nothing passes for a file elsewhere.</summary>
    internal static bool IsFile(string file) => File.Exists(file)
        && (new FileInfo(file).LinkTarget is null || File.ResolveLinkTarget(file, returnFinalTarget: true) is { Exists: true });

    /// <summary>The bytes of a file, or of what a link leads to.</summary>
    internal static long LengthOf(string file)
    {
        using var handle = File.OpenHandle(file);
        return RandomAccess.GetLength(handle);
    }

    /// <summary>The file of a name inside a folder, whose folders must not be links that lead elsewhere.</summary>
    /// <exception cref="InputException">They are.</exception>
    protected static string Inside(string folder, string name)
    {
        var at = folder;
        foreach (var part in name.Split('/').SkipLast(1))
        {
            at = Path.Combine(at, part);
            if (new DirectoryInfo(at).LinkTarget is not null || File.Exists(at))
                throw new InputException($"{at} is not a folder but {(File.Exists(at) ? "a file" : "a link")}, where '{name}' must be "
                    + "written. Remove it.");
        }
        return Path.Combine(folder, Path.Combine(name.Split('/')));
    }

    /// <summary>The folder of our own notes.</summary>
    protected abstract string Notes { get; }

    /// <summary>Where Hugging Face's library writes a commit's files down; null where it does not.</summary>
    protected virtual string? TreeFile(string commit) => null;

    /// <summary>Whether a name in a commit's folder is one of the repository's files.</summary>
    protected virtual bool IsContent(string name) => true;

    /// <summary>Writes down which commit a revision leads to.</summary>
    protected abstract void RecordRevision(string commit, string? revision);

    private string ListingFile(string commit) => Path.Combine(Notes, Uri.EscapeDataString(commit) + ".json");
}
