using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>
/// ModelScope's hub: <c>/api/v1/models/REPO/repo/files</c> lists, <c>/api/v1/models/REPO/repo?FilePath=</c> gives; data is listed page by
/// page with <c>repo/tree</c>.
/// </summary>
internal sealed class ModelScopeApi(HubPlace place, TransferSettings settings) : HubApi(place, settings)
{
    private const string MainBranch = "master";
    private const int PageSize = 100;

    /// <inheritdoc/>
    protected override string TokenVariable => "MODELSCOPE_API_TOKEN";

    /// <inheritdoc/>
    protected override string EndpointVariable => "MODELSCOPE_DOMAIN";

    /// <inheritdoc/>
    protected override string Web => "models/";

    /// <inheritdoc/>
    public override Uri Locate(HubAddress address, string commit, string path) => address.IsData
        ? At($"api/v1/datasets/{address.Repository}/repo?Source=SDK&Revision={Uri.EscapeDataString(commit)}"
            + $"&FilePath={Uri.EscapeDataString(path)}&View=False")
        : At($"api/v1/models/{address.Repository}/repo?Revision={Uri.EscapeDataString(commit)}&FilePath={Uri.EscapeDataString(path)}");

    // ModelScope identifies users by a cookie.
    /// <inheritdoc/>
    protected override void Authorize(HttpRequestMessage request)
    {
        if (Place.Token is { } token) request.Headers.Add("Cookie", $"m_session_id={token.Reveal()}");
    }

    /// <inheritdoc/>
    protected override async Task<HubListing> AskAsync(HubAddress address, CancellationToken cancellation)
    {
        var revision = address.Revision ?? MainBranch;
        var files = new List<HubFile>();
        var (commit, newest) = ("", long.MinValue);
        for (var page = 1; ; page++)
        {
            var query = address.IsData
                ? $"api/v1/datasets/{address.Repository}/repo/tree?Revision={Uri.EscapeDataString(revision)}"
                    + $"&Root=%2F&Recursive=True&PageNumber={page}&PageSize={PageSize}"
                : $"api/v1/models/{address.Repository}/repo/files?Revision={Uri.EscapeDataString(revision)}&Recursive=True";
            using var document = JsonDocument.Parse(await Http.ReadAsync(At(query), MostBytes, cancellation));
            var root = document.RootElement;
            if (root.TryGetProperty("Code", out var code) && code.GetInt32() != 200)
                throw new InputException($"{address.Source} cannot be listed: ModelScope answers with the code {code.GetInt32()}. Check "
                    + $"the name and the revision, or set {TokenVariable}.");
            var list = root.GetProperty("Data").GetProperty("Files");
            var count = list.ValueKind == JsonValueKind.Array ? list.GetArrayLength() : 0;
            foreach (var entry in count == 0 ? [] : list.EnumerateArray().ToList())
            {
                // Only files have commits in the listing; the newest of them is the repository's.
                if (Text(entry, "Revision") is { } own && HubFile.IsHex(own, 40) && Date(entry) is var date && date > newest)
                    (commit, newest) = (own, date);
                if (Text(entry, "Type") == "tree") continue;
                files.Add(new HubFile(
                    Text(entry, "Path") ?? "",
                    entry.TryGetProperty("Size", out var size) && size.ValueKind == JsonValueKind.Number ? size.GetInt64() : -1,
                    Digest(Text(entry, "Sha256"))));
            }
            if (files.Count > MostFiles)
                throw new InputException($"{address.Source} lists more than the {MostFiles:N0} files that are allowed. Name another "
                    + "repository.");
            if (!address.IsData || count < PageSize) break;
        }
        return new HubListing(HubFile.IsHex(revision, 40) || commit.Length == 0 ? revision : commit, files);
    }

    private static string? Digest(string? text) => string.IsNullOrEmpty(text) ? null : text.ToLowerInvariant();

    private static string? Text(JsonElement entry, string name) =>
        entry.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static long Date(JsonElement entry) =>
        entry.TryGetProperty("CommittedDate", out var value) && value.ValueKind == JsonValueKind.Number ? value.GetInt64() : 0;
}
