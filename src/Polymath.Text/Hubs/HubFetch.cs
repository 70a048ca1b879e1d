using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>One fetch from a repository: which commit, which files, what is missing.</summary>
internal sealed class HubFetch : IDisposable
{
    private readonly HubAddress _asked, _address;
    private readonly HubSettings _settings;
    private readonly HubPins _pins;
    private readonly Func<string, long> _room;
    private readonly HubStore _store;
    private readonly HubApi _api;
    private readonly string? _settled;
    private long _done, _total;

    /// <summary>Prepares a fetch.</summary>
    public HubFetch(HubAddress address, HubSettings settings, HubPins pins, Func<string, long> room)
    {
        (_asked, _settings, _pins, _room) = (address, settings, pins, room);
        _address = pins.Commits.TryGetValue(address.Source, out var commit) ? address with { Revision = commit } : address;
        _store = HubStore.Of(_address, settings);
        _settled = _store.CommitOf(_address.Revision);
        _api = HubApi.Of(address.Hub, settings, patient: _settled is null);
    }

    /// <summary>What is being done, and how far it is.</summary>
    public (string Activity, long Done, long Total) Progress =>
        (_total == 0 ? "" : $"fetching {_asked.Source}", Interlocked.Read(ref _done), Interlocked.Read(ref _total));

    /// <summary>Something to tell at the end.</summary>
    public string? Remark { get; private set; }

    /// <summary>The room on a folder's disk.</summary>
    public static long RoomAt(string folder)
    {
        while (!Directory.Exists(folder) && Path.GetDirectoryName(folder) is { } parent) folder = parent;
        return new DriveInfo(folder).AvailableFreeSpace;
    }

    /// <summary>Lists the repository.</summary>
    public async Task<HubListing> ListAsync(CancellationToken cancellation)
    {
        if (_settings.Offline)
            return _settled is { } commit ? Known(commit) : throw Missing("nothing of it is in the cache");
        try
        {
            return await _api.ListAsync(_address, cancellation);
        }
        catch (PassingFault fault)
        {
            throw Unreachable(fault);
        }
    }

    /// <summary>Fetches what is chosen.</summary>
    public async Task<HubSnapshot> GoAsync(HubSelection selection, CancellationToken cancellation)
    {
        var settled = _settled;
        if (_settings.Offline)
            return settled is null ? throw Missing("nothing of it is in the cache") : Settle(FromCache(settled, selection));
        // A commit never changes: what is known of it and there needs no question.
        if (settled is not null && settled == _address.Revision && (_pins.Commits.ContainsKey(_asked.Source) || HubFile.IsHex(settled, 40))
            && _store.Listing(settled) is { } known && Complete(known, selection) is { } whole)
            return Settle(whole);
        HubListing listing;
        try
        {
            listing = await _api.ListAsync(_address, cancellation);
        }
        catch (PassingFault fault)
        {
            if (settled is null) throw Unreachable(fault);
            var snapshot = FromCache(settled, selection, fault);
            Remark = $"{_asked.Source}: the hub cannot be reached ({fault.Message}); what the cache holds of "
                + $"{settled[..Math.Min(12, settled.Length)]} is used.";
            return Settle(snapshot);
        }
        var names = new List<string>();
        var files = listing.Files.ToDictionary(file => file.Path, StringComparer.Ordinal);
        // Some files name others: what they name is fetched after them.
        while (selection.Choose(_asked.Source, [.. files.Keys], name => ReadOf(listing.Commit, files[name]))
            .Except(names).ToList() is { Count: > 0 } more)
        {
            foreach (var name in more) files[name] = await CompletedAsync(listing.Commit, files[name], cancellation);
            await FetchAsync(listing.Commit, [.. more.Select(name => files[name])], cancellation);
            names.AddRange(more);
        }
        // A folder under the commit's name shows only what is whole: nobody takes half a model for one.
        _store.Publish(listing.Commit, [.. names.Select(name => files[name])]);
        Record(listing with { Files = [.. files.Values] });
        return Settle(Snapshot(listing.Commit, names));
    }

    /// <inheritdoc/>
    public void Dispose() => _api.Dispose();

    private void Record(HubListing listing)
    {
        try
        {
            _store.Record(listing, _address.Revision);
            if (!_address.IsData)
                _store.RecordAbsent(
                    listing.Commit,
                    HubSelection.Companions.Where(name => !name.Contains('*', StringComparison.Ordinal))
                        .Except(listing.Files.Select(file => file.Path)));
        }
        catch (RunFailedException)
        {
            // A cache that others fill and that may only be read: what is needed is there, the notes only save questions.
        }
    }

    private async Task<HubFile> CompletedAsync(string commit, HubFile file, CancellationToken cancellation)
    {
        try
        {
            var completed = await _api.CompleteAsync(_address, commit, file, cancellation);
            return completed.Size >= 0
                ? completed
                : throw new InputException($"the hub does not say how large '{file.Path}' of {_asked.Source} is. Name other files.");
        }
        catch (RefusedRequest refused)
        {
            throw _api.Explain(refused, _address, file.Path);
        }
        catch (PassingFault fault)
        {
            throw Unreachable(fault);
        }
    }

    private async Task FetchAsync(string commit, IReadOnlyList<HubFile> files, CancellationToken cancellation)
    {
        // One content may have several names.
        var missing = files.Where(file => !_store.Has(commit, file) && !IsThere(file))
            .DistinctBy(file => _store.PlacesOf(file).Content).ToList();
        if (missing.Count == 0) return;
        var arrived = missing.Sum(file => PartialFile.Arrived(_store.PlacesOf(file).Incomplete, file.Size));
        var needed = missing.Sum(file => file.Size) - arrived;
        var cache = _settings.Of(_address.Hub).Cache;
        if (_room(cache) is var room && room < needed)
            throw new InputException($"{_asked.Source} needs {needed / 1e6:N1} MB, and {cache} has room for {room / 1e6:N1} MB. Free some, "
                + $"or set {(_address.Hub == HubName.HuggingFace ? "HF_HUB_CACHE" : "MODELSCOPE_CACHE")} to another disk.");
        Interlocked.Add(ref _total, missing.Sum(file => file.Size));
        Interlocked.Add(ref _done, arrived);
        var transfer = _settings.Transfer ?? new TransferSettings();
        var options = new ParallelOptions { MaxDegreeOfParallelism = transfer.Files, CancellationToken = cancellation };
        await Parallel.ForEachAsync(
            missing.OrderBy(file => file.Size), options, async (file, token) => await FetchAsync(commit, file, transfer, token));
    }

    private async Task FetchAsync(string commit, HubFile file, TransferSettings transfer, CancellationToken cancellation)
    {
        var (content, incomplete, guard) = _store.PlacesOf(file);
        using var alone = await FileGuard.TakeAsync(guard, cancellation);
        // Whoever was here before may have fetched it.
        if (_store.Has(commit, file) || IsThere(file)) return;
        Directory.CreateDirectory(Path.GetDirectoryName(content)!);
        try
        {
            await new FileTransfer(_api.Http, transfer, bytes => Interlocked.Add(ref _done, bytes)).FetchAsync(
                _api.Locate(_address, commit, file.Path),
                file,
                incomplete,
                content,
                _asked.Source,
                cancellation);
        }
        catch (RefusedRequest refused)
        {
            throw _api.Explain(refused, _address, file.Path);
        }
        catch (PassingFault fault)
        {
            throw new InputException(
                $"'{file.Path}' of {_asked.Source} does not arrive: {fault.Message}, after {transfer.Attempts} attempts. What has arrived "
                    + "is kept; the same command goes on from there.",
                fault);
        }
    }

    private bool IsThere(HubFile file) =>
        _store.PlacesOf(file).Content is var content && File.Exists(content) && HubStore.LengthOf(content) == file.Size;

    private byte[]? ReadOf(string commit, HubFile file)
    {
        if (_store.PlacesOf(file).Content is var content && file.Key.Length > 0 && File.Exists(content)) return File.ReadAllBytes(content);
        return _store.Has(commit, file) ? File.ReadAllBytes(InSnapshot(commit, file.Path)) : null;
    }

    private HubSnapshot FromCache(string commit, HubSelection selection, PassingFault? fault = null)
    {
        try
        {
            var (names, missing) = Look(Known(commit), selection);
            if (missing.Count == 0) return Snapshot(commit, names);
            throw Missing($"{string.Join(", ", missing.Take(5))} "
                    + $"{(missing.Count > 5 ? $"and {missing.Count - 5} more are" : missing.Count > 1 ? "are" : "is")} not in the cache",
                fault);
        }
        catch (InputException problem) when (_store.Listing(commit) is null && problem.InnerException is not PassingFault)
        {
            throw Missing($"of what the cache holds, {problem.Message.TrimEnd('.')}", fault);
        }
    }

    private HubSnapshot? Complete(HubListing listing, HubSelection selection) =>
        Look(listing, selection) is var (names, missing) && missing.Count == 0 ? Snapshot(listing.Commit, names) : null;

    // What is chosen of a listing, and what of it is not in the commit's folder.
    private (IReadOnlyList<string> Names, List<string> Missing) Look(HubListing listing, HubSelection selection)
    {
        var files = listing.Files.ToDictionary(file => file.Path, StringComparer.Ordinal);
        var names = selection.Choose(
            _asked.Source,
            [.. files.Keys],
            name => HubStore.IsFile(InSnapshot(listing.Commit, name)) ? File.ReadAllBytes(InSnapshot(listing.Commit, name)) : null);
        return (names, [.. names.Where(name => !_store.Has(listing.Commit, files[name]))]);
    }

    private HubListing Known(string commit) =>
        _store.Listing(commit) ?? new HubListing(commit, [.. _store.FilesOf(commit).Select(name => new HubFile(name, -1))]);

    private string InSnapshot(string commit, string name) => Path.Combine(_store.Snapshot(commit), Path.Combine(name.Split('/')));

    private HubSnapshot Snapshot(string commit, IEnumerable<string> names) =>
        new(_store.Snapshot(commit), commit, [.. names.Distinct().Order(StringComparer.Ordinal)]);

    private HubSnapshot Settle(HubSnapshot snapshot)
    {
        _pins.Add(_asked.Source, snapshot.Commit);
        return snapshot;
    }

    private InputException Missing(string what, PassingFault? fault = null) => fault is not null ? Unreachable(fault, what) : new(
        $"{_asked.Source} cannot be read offline: {what} ({_settings.Of(_address.Hub).Cache}). Type `polymath hub download "
            + $"{_asked.Source}` where there is a network, without --offline and HF_HUB_OFFLINE.");

    private InputException Unreachable(PassingFault fault, string? what = null) => new(
        $"{_asked.Source}: the hub cannot be reached: {fault.Message}{(what is null ? "" : $"; and {what}")}. Check the network and "
            + $"{_api.Place.Endpoint}, or set {(_address.Hub == HubName.HuggingFace ? "HF_ENDPOINT to a mirror" : "MODELSCOPE_DOMAIN")}.",
        fault);
}
