using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>One fetch from a repository: the commit, the files, and what is missing.</summary>
internal sealed class HubFetch : IDisposable
{
    private readonly HubAddress asked, address;
    private readonly HubSettings settings;
    private readonly HubPins pins;
    private readonly Func<string, long> room;
    private readonly HubStore store;
    private readonly HubApi api;
    private readonly string? settled;
    private long done, total;

    /// <summary>Prepares a fetch.</summary>
    public HubFetch(HubAddress address, HubSettings settings, HubPins pins, Func<string, long> room)
    {
        (asked, this.settings, this.pins, this.room) = (address, settings, pins, room);
        this.address = pins.Commits.TryGetValue(address.Source, out var commit) ? address with { Revision = commit } : address;
        store = HubStore.Of(this.address, settings);
        settled = store.CommitOf(this.address.Revision);
        api = HubApi.Of(address.Hub, settings, patient: settled is null);
    }

    /// <summary>The current activity and its progress.</summary>
    public (string Activity, long Done, long Total) Progress =>
        (total == 0 ? "" : $"fetching {asked.Source}", Interlocked.Read(ref done), Interlocked.Read(ref total));

    /// <summary>A note for the end.</summary>
    public string? Remark { get; private set; }

    /// <summary>The free space of a folder's disk.</summary>
    public static long RoomAt(string folder)
    {
        while (!Directory.Exists(folder) && Path.GetDirectoryName(folder) is { } parent) folder = parent;
        return new DriveInfo(folder).AvailableFreeSpace;
    }

    /// <summary>Lists the repository.</summary>
    public async Task<HubListing> ListAsync(CancellationToken cancellation)
    {
        if (settings.Offline)
            return settled is { } commit ? Known(commit) : throw Missing("nothing of it is in the cache");
        try
        {
            return await api.ListAsync(address, cancellation);
        }
        catch (PassingFault fault)
        {
            throw Unreachable(fault);
        }
    }

    /// <summary>Fetches the chosen files.</summary>
    public async Task<HubSnapshot> GoAsync(HubSelection selection, CancellationToken cancellation)
    {
        var settled = this.settled;
        if (settings.Offline)
            return settled is null ? throw Missing("nothing of it is in the cache") : Settle(FromCache(settled, selection));
        // A commit never changes: when its listing is known and its files are there, no request is needed.
        if (settled is not null && settled == address.Revision && (pins.Commits.ContainsKey(asked.Source) || HubFile.IsHex(settled, 40))
            && store.Listing(settled) is { } known && Complete(known, selection) is { } whole)
            return Settle(whole);
        HubListing listing;
        try
        {
            listing = await api.ListAsync(address, cancellation);
        }
        catch (PassingFault fault)
        {
            if (settled is null) throw Unreachable(fault);
            var snapshot = FromCache(settled, selection, fault);
            Remark = $"{asked.Source}: the hub cannot be reached ({fault.Message}); what the cache holds of "
                + $"{settled[..Math.Min(12, settled.Length)]} is used.";
            return Settle(snapshot);
        }
        var names = new List<string>();
        var files = listing.Files.ToDictionary(file => file.Path, StringComparer.Ordinal);
        // Some files name other files, which are fetched after them.
        while (selection.Choose(asked.Source, [.. files.Keys], name => ReadOf(listing.Commit, files[name]))
            .Except(names).ToList() is { Count: > 0 } more)
        {
            foreach (var name in more) files[name] = await CompletedAsync(listing.Commit, files[name], cancellation);
            await FetchAsync(listing.Commit, [.. more.Select(name => files[name])], cancellation);
            names.AddRange(more);
        }
        // The commit's folder shows only complete selections, so half a model is never mistaken for a whole one.
        store.Publish(listing.Commit, [.. names.Select(name => files[name])]);
        Record(listing with { Files = [.. files.Values] });
        return Settle(Snapshot(listing.Commit, names));
    }

    /// <inheritdoc/>
    public void Dispose() => api.Dispose();

    private void Record(HubListing listing)
    {
        try
        {
            store.Record(listing, address.Revision);
            if (!address.IsData)
                store.RecordAbsent(
                    listing.Commit,
                    HubSelection.Companions.Where(name => !name.Contains('*', StringComparison.Ordinal))
                        .Except(listing.Files.Select(file => file.Path)));
        }
        catch (RunFailedException)
        {
            // A read-only cache that others fill: the needed files are there, and the notes only save requests.
        }
    }

    private async Task<HubFile> CompletedAsync(string commit, HubFile file, CancellationToken cancellation)
    {
        try
        {
            var completed = await api.CompleteAsync(address, commit, file, cancellation);
            return completed.Size >= 0
                ? completed
                : throw new InputException($"the hub does not state the size of '{file.Path}' of {asked.Source}. Name other files.");
        }
        catch (RefusedRequest refused)
        {
            throw api.Explain(refused, address, file.Path);
        }
        catch (PassingFault fault)
        {
            throw Unreachable(fault);
        }
    }

    private async Task FetchAsync(string commit, IReadOnlyList<HubFile> files, CancellationToken cancellation)
    {
        // The same content may have several names.
        var missing = files.Where(file => !store.Has(commit, file) && !IsThere(file))
            .DistinctBy(file => store.PlacesOf(file).Content).ToList();
        if (missing.Count == 0) return;
        var arrived = missing.Sum(file => PartialFile.Arrived(store.PlacesOf(file).Incomplete, file.Size));
        var needed = missing.Sum(file => file.Size) - arrived;
        var cache = settings.Of(address.Hub).Cache;
        if (this.room(cache) is var room && room < needed)
            throw new InputException($"{asked.Source} needs {needed / 1e6:N1} MB, but {cache} has only {room / 1e6:N1} MB free. Free some, "
                + $"or set {(address.Hub == HubName.HuggingFace ? "HF_HUB_CACHE" : "MODELSCOPE_CACHE")} to another disk.");
        Interlocked.Add(ref total, missing.Sum(file => file.Size));
        Interlocked.Add(ref done, arrived);
        var transfer = settings.Transfer ?? new TransferSettings();
        var options = new ParallelOptions { MaxDegreeOfParallelism = transfer.Files, CancellationToken = cancellation };
        await Parallel.ForEachAsync(
            missing.OrderBy(file => file.Size), options, async (file, token) => await FetchAsync(commit, file, transfer, token));
    }

    private async Task FetchAsync(string commit, HubFile file, TransferSettings transfer, CancellationToken cancellation)
    {
        var (content, incomplete, guard) = store.PlacesOf(file);
        using var alone = await FileGuard.TakeAsync(guard, cancellation);
        // Another process may have fetched it in the meantime.
        if (store.Has(commit, file) || IsThere(file)) return;
        Directory.CreateDirectory(Path.GetDirectoryName(content)!);
        try
        {
            await new FileTransfer(api.Http, transfer, bytes => Interlocked.Add(ref done, bytes)).FetchAsync(
                api.Locate(address, commit, file.Path),
                file,
                incomplete,
                content,
                asked.Source,
                cancellation);
        }
        catch (RefusedRequest refused)
        {
            throw api.Explain(refused, address, file.Path);
        }
        catch (PassingFault fault)
        {
            throw new InputException(
                $"'{file.Path}' of {asked.Source} does not arrive: {fault.Message}, after {transfer.Attempts} attempts. What has arrived "
                    + "is kept; the same command continues from there.",
                fault);
        }
    }

    private bool IsThere(HubFile file) =>
        store.PlacesOf(file).Content is var content && File.Exists(content) && HubStore.LengthOf(content) == file.Size;

    private byte[]? ReadOf(string commit, HubFile file)
    {
        if (store.PlacesOf(file).Content is var content && file.Key.Length > 0 && File.Exists(content)) return File.ReadAllBytes(content);
        return store.Has(commit, file) ? File.ReadAllBytes(InSnapshot(commit, file.Path)) : null;
    }

    private HubSnapshot FromCache(string commit, HubSelection selection, PassingFault? fault = null)
    {
        try
        {
            var (names, missing) = Look(Known(commit), selection);
            if (missing.Count == 0) return Snapshot(commit, names);
            var rest = missing.Count switch { > 5 => $"and {missing.Count - 5} more are", > 1 => "are", _ => "is" };
            throw Missing($"{string.Join(", ", missing.Take(5))} {rest} not in the cache", fault);
        }
        catch (InputException problem) when (store.Listing(commit) is null && problem.InnerException is not PassingFault)
        {
            throw Missing($"of what the cache holds, {problem.Message.TrimEnd('.')}", fault);
        }
    }

    private HubSnapshot? Complete(HubListing listing, HubSelection selection) =>
        Look(listing, selection) is var (names, missing) && missing.Count == 0 ? Snapshot(listing.Commit, names) : null;

    // The chosen files of a listing, and those of them that are missing in the commit's folder.
    private (IReadOnlyList<string> Names, List<string> Missing) Look(HubListing listing, HubSelection selection)
    {
        var files = listing.Files.ToDictionary(file => file.Path, StringComparer.Ordinal);
        var names = selection.Choose(
            asked.Source,
            [.. files.Keys],
            name => HubStore.IsFile(InSnapshot(listing.Commit, name)) ? File.ReadAllBytes(InSnapshot(listing.Commit, name)) : null);
        return (names, [.. names.Where(name => !store.Has(listing.Commit, files[name]))]);
    }

    private HubListing Known(string commit) =>
        store.Listing(commit) ?? new HubListing(commit, [.. store.FilesOf(commit).Select(name => new HubFile(name, -1))]);

    private string InSnapshot(string commit, string name) => Path.Combine(store.Snapshot(commit), Path.Combine(name.Split('/')));

    private HubSnapshot Snapshot(string commit, IEnumerable<string> names) =>
        new(store.Snapshot(commit), commit, [.. names.Distinct().Order(StringComparer.Ordinal)]);

    private HubSnapshot Settle(HubSnapshot snapshot)
    {
        pins.Add(asked.Source, snapshot.Commit);
        return snapshot;
    }

    private InputException Missing(string what, PassingFault? fault = null) => fault is not null ? Unreachable(fault, what) : new(
        $"{asked.Source} cannot be read offline: {what} ({settings.Of(address.Hub).Cache}). Type `polymath hub download "
            + $"{asked.Source}` where there is a network, without --offline and HF_HUB_OFFLINE.");

    private InputException Unreachable(PassingFault fault, string? what = null) => new(
        $"{asked.Source}: the hub cannot be reached: {fault.Message}{(what is null ? "" : $"; and {what}")}. Check the network and "
            + $"{api.Place.Endpoint}, or set {(address.Hub == HubName.HuggingFace ? "HF_ENDPOINT to a mirror" : "MODELSCOPE_DOMAIN")}.",
        fault);
}
