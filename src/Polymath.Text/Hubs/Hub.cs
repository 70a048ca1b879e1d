using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>Files of a repository at one commit, on this machine.</summary>
/// <param name="Folder">The folder they are in, under their own names.</param>
/// <param name="Commit">The commit.</param>
/// <param name="Files">Their names in it, with slashes, in ordinal order.</param>
public sealed record HubSnapshot(string Folder, string Commit, IReadOnlyList<string> Files);

/// <summary>
/// Makes files of hubs available on this machine: they are fetched once, checked, stored in the caches of the hubs' own libraries, and read
/// from there without a network afterwards. Several processes may use one cache at the same time.
/// </summary>
/// <param name="settings">How hubs are used.</param>
/// <param name="pins">The known commits; newly resolved ones are added.</param>
/// <param name="watch">Receives the events.</param>
public sealed class Hub(HubSettings settings, HubPins? pins = null, HubWatch? watch = null)
{
    private const int Look = 200;
    private readonly HubWatch watcher = watch ?? new HubWatch();

    /// <summary>The commits that sources were resolved to.</summary>
    public HubPins Pins { get; } = pins ?? new HubPins();

    /// <summary>The free space of a folder's disk; for tests.</summary>
    internal Func<string, long> Room { get; init; } = HubFetch.RoomAt;

    /// <summary>The folder of a model, or the text as it is when it is no address.</summary>
    /// <param name="folderOrAddress">A folder, or <c>hf:ORG/NAME[@REVISION]</c>, <c>modelscope:ORG/NAME[@REVISION]</c>.</param>
    /// <param name="cancellation">Ends the work; bytes that have arrived are kept.</param>
    /// <exception cref="InputException">It cannot be fetched.</exception>
    public string Model(string folderOrAddress, CancellationToken cancellation = default) =>
        Folder(folderOrAddress, HubSelection.Model, cancellation);

    /// <summary>The folder of a tokenizer, or the text as it is when it is no address.</summary>
    /// <param name="folderOrAddress">A folder or an address.</param>
    /// <param name="cancellation">Ends the work; bytes that have arrived are kept.</param>
    /// <exception cref="InputException">It cannot be fetched.</exception>
    public string Tokenizer(string folderOrAddress, CancellationToken cancellation = default) =>
        Folder(folderOrAddress, HubSelection.Tokenizer, cancellation);

    /// <summary>The folder of an adapter, or the text as it is when it is no address.</summary>
    /// <param name="folderOrAddress">A folder or an address.</param>
    /// <param name="cancellation">Ends the work; bytes that have arrived are kept.</param>
    /// <exception cref="InputException">It cannot be fetched.</exception>
    public string Adapter(string folderOrAddress, CancellationToken cancellation = default) =>
        Folder(folderOrAddress, HubSelection.Adapter, cancellation);

    /// <summary>The files of data.</summary>
    /// <param name="address"><c>hf:datasets/ORG/NAME[@REVISION][/path/glob]</c>.</param>
    /// <param name="cancellation">Ends the work; bytes that have arrived are kept.</param>
    /// <exception cref="InputException">They cannot be fetched.</exception>
    public IReadOnlyList<string> Data(string address, CancellationToken cancellation = default)
    {
        var parsed = HubAddress.ParseData(address);
        var snapshot = Fetch(parsed, HubSelection.Data(parsed.Path), cancellation);
        return [.. snapshot.Files.Select(name => Path.Combine(snapshot.Folder, Path.Combine(name.Split('/'))))];
    }

    /// <summary>Fetches the missing files.</summary>
    /// <param name="address">The repository.</param>
    /// <param name="selection">The choice of its files.</param>
    /// <param name="cancellation">Ends the work; bytes that have arrived are kept.</param>
    /// <exception cref="InputException">They cannot be fetched.</exception>
    public HubSnapshot Fetch(HubAddress address, HubSelection selection, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(address);
        ArgumentNullException.ThrowIfNull(selection);
        return Guarded(address, token =>
        {
            var fetch = new HubFetch(address, settings, Pins, Room);
            return (fetch, fetch.GoAsync(selection, token));
        }, cancellation);
    }

    /// <summary>All files of a repository.</summary>
    /// <param name="address">The repository.</param>
    /// <param name="cancellation">Ends the request.</param>
    /// <exception cref="InputException">It cannot be listed.</exception>
    public HubListing List(HubAddress address, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(address);
        return Guarded(address, token =>
        {
            var fetch = new HubFetch(address, settings, Pins, Room);
            return (fetch, fetch.ListAsync(token));
        }, cancellation);
    }

    /// <summary>The content of the caches.</summary>
    public IReadOnlyList<CachedRepository> Cached() =>
        [.. HuggingFaceStore.All(settings.HuggingFace.Cache), .. ModelScopeStore.All(settings.ModelScope.Cache)];

    private string Folder(string text, HubSelection selection, CancellationToken cancellation) =>
        HubAddress.IsAddress(text) ? Fetch(HubAddress.ParseModel(text), selection, cancellation).Folder : text;

    // The work runs on its own; the calling thread waits for it and reports its progress.
    private T Guarded<T>(HubAddress address, Func<CancellationToken, (HubFetch Fetch, Task<T> Work)> begin, CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var watched = watcher.Begin(stop.Cancel);
        try
        {
            var (fetch, work) = Task.Run(() => begin(stop.Token), CancellationToken.None).GetAwaiter().GetResult();
            using (fetch)
            {
                while (Task.WhenAny(work, Task.Delay(Look, CancellationToken.None)).GetAwaiter().GetResult() != work)
                {
                    var (activity, done, total) = fetch.Progress;
                    if (activity.Length > 0) watcher.Progress(activity, done, total);
                }
                var result = work.GetAwaiter().GetResult();
                if (fetch.Remark is { } remark) watcher.Note(remark);
                return result;
            }
        }
        catch (OperationCanceledException fault) when (stop.IsCancellationRequested)
        {
            throw new OperationCanceledException(
                $"Stopped. What has arrived of {address.Source} is kept; the same command continues from there.", fault, stop.Token);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"the cache {settings.Of(address.Hub).Cache} cannot be used: {fault.Message} Free some space, or set "
                    + $"{(address.Hub == HubName.HuggingFace ? "HF_HUB_CACHE" : "MODELSCOPE_CACHE")} to another folder.",
                fault);
        }
    }
}
