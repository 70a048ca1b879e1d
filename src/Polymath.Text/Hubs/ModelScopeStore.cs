using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>
/// The cache of ModelScope's Python library: <c>models/ORG/NAME/PATH</c> with dots in the name as <c>___</c>, one revision at a time. Our
/// own notes next to it record the digest of each file and the commit of each revision.
/// </summary>
internal sealed class ModelScopeStore(HubAddress address, string cache) : HubStore(address)
{
    private const string MainBranch = "master", Unfinished = "._____temp", Own = ".polymath";
    private readonly string kind = address.IsData ? "datasets" : "models";

    private string Root => Path.Combine(cache, kind, Owner, Name.Replace(".", "___", StringComparison.Ordinal));

    private string Owner => Address.Repository.Split('/')[0];

    private string Name => Address.Repository.Split('/')[^1];

    /// <inheritdoc/>
    protected override string Notes => Path.Combine(
        cache,
        Own,
        kind,
        Owner,
        Name);

    private string Digests => Path.Combine(Notes, "digests", "files.json");

    /// <inheritdoc/>
    public override string Snapshot(string commit) => Root;

    /// <inheritdoc/>
    public override string? CommitOf(string? revision)
    {
        if (revision is not null && HubFile.IsHex(revision, 40)) return revision;
        var file = Path.Combine(Notes, "refs", Uri.EscapeDataString(revision ?? MainBranch));
        // Files that ModelScope's library fetched have no known commit.
        if (File.Exists(file))
            return File.ReadAllText(file).Trim();
        return Directory.Exists(Root) ? revision ?? MainBranch : null;
    }

    /// <inheritdoc/>
    public override bool Has(string commit, HubFile file)
    {
        var place = Path.Combine(Root, file.Path);
        if (!File.Exists(place) || (file.Size >= 0 && new FileInfo(place).Length != file.Size)) return false;
        if (file.Key.Length == 0) return true;
        var known = Known();
        if (!known.TryGetValue(file.Path, out var digest))
        {
            // ModelScope's own library put it here, so it is checked once.
            using var stream = File.OpenRead(place);
            known[file.Path] = digest = Convert.ToHexStringLower(SHA256.HashData(stream));
            AtomicFile.WriteText(Digests, JsonSerializer.Serialize(known));
        }
        return digest == file.Key;
    }

    /// <inheritdoc/>
    public override (string Content, string Incomplete, string Guard) PlacesOf(HubFile file)
    {
        var incomplete = Path.Combine(
            cache,
            kind,
            Unfinished,
            Owner,
            Name,
            Path.Combine(file.Path.Split('/')));
        return (
            incomplete,
            $"{incomplete}.{(file.Key.Length > 0 ? file.Key[..16] : "unknown")}.incomplete",
            Path.Combine(Notes, "locks", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(file.Path)))[..32] + ".lock"));
    }

    /// <inheritdoc/>
    public override void Publish(string commit, IReadOnlyList<HubFile> files)
    {
        var known = Known();
        var changed = false;
        foreach (var file in files)
        {
            var content = PlacesOf(file).Content;
            if (!File.Exists(content)) continue;
            var place = Inside(Root, file.Path);
            Directory.CreateDirectory(Path.GetDirectoryName(place)!);
            File.Move(content, place, overwrite: true);
            known[file.Path] = file.Key;
            changed = true;
        }
        if (changed) AtomicFile.WriteText(Digests, JsonSerializer.Serialize(known));
    }

    /// <summary>The repositories of a cache.</summary>
    public static IEnumerable<CachedRepository> All(string cache)
    {
        foreach (var kind in new[] { "models", "datasets" })
        {
            var folder = Path.Combine(cache, kind);
            foreach (var owner in (Directory.Exists(folder) ? Directory.GetDirectories(folder) : [])
                .Where(owner => Path.GetFileName(owner)[0] != '.').Order(StringComparer.Ordinal))
            {
                foreach (var root in Directory.GetDirectories(owner).Order(StringComparer.Ordinal))
                {
                    var (org, name) = (Path.GetFileName(owner), Path.GetFileName(root).Replace("___", ".", StringComparison.Ordinal));
                    var refs = Path.Combine(
                        cache,
                        Own,
                        kind,
                        org,
                        name,
                        "refs");
                    var revisions = (Directory.Exists(refs) ? Directory.GetFiles(refs) : []).GroupBy(file => File.ReadAllText(file).Trim())
                        .ToDictionary(group => group.Key, group => (IReadOnlyList<string>)[
                            .. group.Select(file => Uri.UnescapeDataString(Path.GetFileName(file))).Order(StringComparer.Ordinal),
                        ]);
                    var unfinished = Path.Combine(
                        cache,
                        kind,
                        Unfinished,
                        org,
                        name);
                    yield return new CachedRepository(
                        $"modelscope:{(kind == "datasets" ? "datasets/" : "")}{org}/{name}",
                        revisions,
                        SizeOf(root),
                        SizeOf(unfinished),
                        root);
                }
            }
        }
    }

    /// <inheritdoc/>
    protected override bool IsContent(string name) => name is not (".msc" or ".mv" or ".mdl");

    /// <inheritdoc/>
    protected override void RecordRevision(string commit, string? revision)
    {
        if (revision != commit) AtomicFile.WriteText(Path.Combine(Notes, "refs", Uri.EscapeDataString(revision ?? MainBranch)), commit);
    }

    private static long SizeOf(string folder) =>
        Directory.Exists(folder) ? new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length) : 0;

    // It is read again each time, because another process may have written it.
    private Dictionary<string, string> Known()
    {
        try
        {
            return File.Exists(Digests) ? JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(Digests)) ?? [] : [];
        }
        catch (JsonException)
        {
            return [];
        }
    }
}
