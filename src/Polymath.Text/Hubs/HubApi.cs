using System.Net;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>The requests to a hub: the files of a repository at a revision, and their content.</summary>
internal abstract class HubApi : IDisposable
{
    /// <summary>The most files of a listing, and its most bytes.</summary>
    protected const int MostFiles = 200_000, MostBytes = 64 << 20;

    /// <summary>Uses the hub at a place.</summary>
    protected HubApi(HubPlace place, TransferSettings settings)
    {
        Place = place;
        Http = new HubHttp(place.Endpoint, Authorize, settings);
    }

    /// <summary>The place of the hub.</summary>
    public HubPlace Place { get; }

    /// <summary>The HTTP client.</summary>
    public HubHttp Http { get; }

    /// <summary>Opens a hub by name.</summary>
    /// <param name="hub">The name.</param>
    /// <param name="settings">How hubs are used.</param>
    /// <param name="patient">Whether all attempts are made to list a repository; else only two, because the cache can be used
    /// instead.</param>
    public static HubApi Of(HubName hub, HubSettings settings, bool patient)
    {
        var transfer = settings.Transfer ?? new TransferSettings();
        if (!patient) transfer = transfer with { Attempts = Math.Min(2, transfer.Attempts) };
        return hub == HubName.HuggingFace
            ? new HuggingFaceApi(settings.HuggingFace, transfer)
            : new ModelScopeApi(settings.ModelScope, transfer);
    }

    /// <summary>The files of a repository, each checked.</summary>
    /// <exception cref="InputException">The repository cannot be read, or its listing cannot be used.</exception>
    /// <exception cref="PassingFault">The hub cannot be reached.</exception>
    public async Task<HubListing> ListAsync(HubAddress address, CancellationToken cancellation)
    {
        try
        {
            var listing = await AskAsync(address, cancellation);
            var seen = new HashSet<string>(StringComparer.Ordinal);
            foreach (var file in listing.Files)
            {
                file.Check(address.Source);
                if (!seen.Add(file.Path))
                    throw new InputException($"{address.Source} lists the file '{file.Path}' twice. Do not use this repository, or tell "
                        + "its owner.");
            }
            return listing;
        }
        catch (RefusedRequest refused)
        {
            throw Explain(refused, address, null);
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new InputException(
                $"{Place.Endpoint} does not answer as a hub does: {JsonPart.FirstSentence(fault.Message)} Check {EndpointVariable}.",
                fault);
        }
    }

    /// <summary>The address of a file's content.</summary>
    public abstract Uri Locate(HubAddress address, string commit, string path);

    /// <summary>Adds the data of a file that a listing lacks.</summary>
    public virtual Task<HubFile> CompleteAsync(HubAddress address, string commit, HubFile file, CancellationToken cancellation) =>
        Task.FromResult(file);

    /// <summary>The message for a refused request.</summary>
    public InputException Explain(RefusedRequest refused, HubAddress address, string? file)
    {
        var what = file is null ? address.Source : $"'{file}' of {address.Source}";
        var web = $"{Place.Endpoint}{(address.IsData ? "datasets/" : Web)}{address.Repository}";
        var data = $"; data is named {(address.Hub == HubName.HuggingFace ? "hf" : "modelscope")}:datasets/ORG/NAME";
        return new InputException(refused.Status switch
        {
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden when refused.Code == "GatedRepo" =>
                $"{what} is only for those who accepted its licence ({(int)refused.Status}). Accept it at {web}, and set {TokenVariable} "
                    + "to your token.",
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => Place.Token is null
                ? $"{what} cannot be read without a token ({(int)refused.Status}): it is private, asks to accept a licence at {web}, or "
                    + $"does not exist. Check the name, or set {TokenVariable}."
                : $"{what} cannot be read with the token that is set ({(int)refused.Status}): it is private, asks to accept a licence at "
                    + $"{web}, or the token is not valid. Accept the licence, or set {TokenVariable} to another token.",
            HttpStatusCode.NotFound
                when refused.Code == "RevisionNotFound" || (address.Revision is not null && refused.Code.Length == 0 && file is null) =>
                $"{address.Source}: there is no such repository, or no revision '{address.Revision}' in it (tried {refused.Address}). "
                    + $"Check both at {web}.",
            HttpStatusCode.NotFound when file is not null =>
                $"{what} is listed but missing (tried {refused.Address}). Try again later, or another revision.",
            HttpStatusCode.NotFound =>
                $"there is no repository {address.Source} (tried {refused.Address}). Check the name{(address.IsData ? "" : data)}.",
            _ => $"{what}: {refused.Message}. Check {EndpointVariable}, and that the hub is up.",
        }, refused);
    }

    /// <inheritdoc/>
    public void Dispose() => Http.Dispose();

    /// <summary>The variable that holds the token.</summary>
    protected abstract string TokenVariable { get; }

    /// <summary>The variable that names the hub.</summary>
    protected abstract string EndpointVariable { get; }

    /// <summary>The part before a model's name in the address of its page.</summary>
    protected abstract string Web { get; }

    /// <summary>Puts the token into a request to the hub itself.</summary>
    protected abstract void Authorize(HttpRequestMessage request);

    /// <summary>Requests the listing of the files.</summary>
    protected abstract Task<HubListing> AskAsync(HubAddress address, CancellationToken cancellation);

    /// <summary>A path with each part escaped.</summary>
    protected static string Escaped(string path) => string.Join('/', path.Split('/').Select(Uri.EscapeDataString));

    /// <summary>An address below the hub's own.</summary>
    protected Uri At(string path) => new(Place.Endpoint.AbsoluteUri.TrimEnd('/') + "/" + path);
}
