using System.Net;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>What a hub can be asked: the files of a repository at a revision, and their content.</summary>
internal abstract class HubApi : IDisposable
{
    /// <summary>The most files of a listing, and the most bytes it may be written in.</summary>
    protected const int MostFiles = 200_000, MostBytes = 64 << 20;

    /// <summary>Asks at a place.</summary>
    protected HubApi(HubPlace place, TransferSettings settings)
    {
        Place = place;
        Http = new HubHttp(place.Endpoint, Authorize, settings);
    }

    /// <summary>Where the hub is.</summary>
    public HubPlace Place { get; }

    /// <summary>The requests.</summary>
    public HubHttp Http { get; }

    /// <summary>Opens the hub of a name.</summary>
    /// <param name="hub">The name.</param>
    /// <param name="settings">How hubs are used.</param>
    /// <param name="patient">Whether all attempts are made to list a repository; else two, since there is something to fall back
    /// on.</param>
    public static HubApi Of(HubName hub, HubSettings settings, bool patient)
    {
        var transfer = settings.Transfer ?? new TransferSettings();
        if (!patient) transfer = transfer with { Attempts = Math.Min(2, transfer.Attempts) };
        return hub == HubName.HuggingFace
            ? new HuggingFaceApi(settings.HuggingFace, transfer)
            : new ModelScopeApi(settings.ModelScope, transfer);
    }

    /// <summary>The files of a repository, each checked.</summary>
    /// <exception cref="InputException">The repository cannot be read, or what it lists cannot be used.</exception>
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

    /// <summary>Where a file's content is.</summary>
    public abstract Uri Locate(HubAddress address, string commit, string path);

    /// <summary>Completes what a listing does not say of a file.</summary>
    public virtual Task<HubFile> CompleteAsync(HubAddress address, string commit, HubFile file, CancellationToken cancellation) =>
        Task.FromResult(file);

    /// <summary>What to say when a request was refused.</summary>
    public InputException Explain(RefusedRequest refused, HubAddress address, string? file)
    {
        var what = file is null ? address.Source : $"'{file}' of {address.Source}";
        var web = $"{Place.Endpoint}{(address.IsData ? "datasets/" : Web)}{address.Repository}";
        return new InputException(refused.Status switch
        {
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden when refused.Code == "GatedRepo" =>
                $"{what} is only for those who accepted its licence ({(int)refused.Status}). Accept it at {web}, and set {TokenVariable} "
                    + "to a token of yours.",
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
                $"{what} is listed but not there (tried {refused.Address}). Try again later, or another revision.",
            HttpStatusCode.NotFound => $"there is no repository {address.Source} (tried {refused.Address}). Check the "
                + $"name{(address.IsData ? "" : $"; data is named {(address.Hub == HubName.HuggingFace ? "hf" : "modelscope")}:datasets/ORG/NAME")}.",
            _ => $"{what}: {refused.Message}. Check {EndpointVariable}, and that the hub is up.",
        }, refused);
    }

    /// <inheritdoc/>
    public void Dispose() => Http.Dispose();

    /// <summary>The variable that holds the token.</summary>
    protected abstract string TokenVariable { get; }

    /// <summary>The variable that names the hub.</summary>
    protected abstract string EndpointVariable { get; }

    /// <summary>What stands before a model's name in the address of its page.</summary>
    protected abstract string Web { get; }

    /// <summary>Puts the token into a request to the hub itself.</summary>
    protected abstract void Authorize(HttpRequestMessage request);

    /// <summary>Asks for the files.</summary>
    protected abstract Task<HubListing> AskAsync(HubAddress address, CancellationToken cancellation);

    /// <summary>A path with each part escaped.</summary>
    protected static string Escaped(string path) => string.Join('/', path.Split('/').Select(Uri.EscapeDataString));

    /// <summary>An address below the hub's own.</summary>
    protected Uri At(string path) => new(Place.Endpoint.AbsoluteUri.TrimEnd('/') + "/" + path);
}
