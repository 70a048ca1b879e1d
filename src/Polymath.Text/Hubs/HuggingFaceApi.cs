using System.Net.Http.Headers;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>
/// Hugging Face's hub: <c>/api/models/REPO/revision/REVISION?blobs=true</c> lists, <c>/REPO/resolve/COMMIT/PATH</c> gives (for data with
/// <c>datasets</c>).
/// </summary>
internal sealed class HuggingFaceApi(HubPlace place, TransferSettings settings) : HubApi(place, settings)
{
    /// <inheritdoc/>
    protected override string TokenVariable => "HF_TOKEN";

    /// <inheritdoc/>
    protected override string EndpointVariable => "HF_ENDPOINT";

    /// <inheritdoc/>
    protected override string Web => "";

    /// <inheritdoc/>
    public override Uri Locate(HubAddress address, string commit, string path) =>
        At($"{(address.IsData ? "datasets/" : "")}{address.Repository}/resolve/{commit}/{Escaped(path)}");

    /// <summary>Mirrors may list only names; then the headers of the file itself give its size and digest.</summary>
    public override async Task<HubFile> CompleteAsync(HubAddress address, string commit, HubFile file, CancellationToken cancellation)
    {
        if (file is { Size: >= 0, Key.Length: > 0 }) return file;
        return await Http.RetryAsync(async () =>
        {
            using var response = await Http.OpenAsync(
                HttpMethod.Head,
                Locate(address, commit, file.Path),
                null,
                stay: true,
                cancellation);
            string? Header(string name) => response.Headers.TryGetValues(name, out var values) ? values.First() : null;
            var digest = (Header("X-Linked-Etag") ?? response.Headers.ETag?.Tag ?? "").Trim('"');
            var size = long.TryParse(Header("X-Linked-Size"), out var linked) ? linked : response.Content.Headers.ContentLength ?? -1;
            if (size < 0 || !HubFile.IsHex(digest, 64) && !HubFile.IsHex(digest, 40))
                throw new InputException($"{Place.Endpoint} does not state the size and the digest of '{file.Path}' of {address.Source}, "
                    + "without which it cannot be checked. Check HF_ENDPOINT.");
            return digest.Length == 64
                ? file with { Size = size, Sha256 = digest, BlobId = null }
                : file with { Size = size, Sha256 = null, BlobId = digest };
        }, cancellation);
    }

    /// <inheritdoc/>
    protected override void Authorize(HttpRequestMessage request)
    {
        if (Place.Token is { } token) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token.Reveal());
    }

    /// <inheritdoc/>
    protected override async Task<HubListing> AskAsync(HubAddress address, CancellationToken cancellation)
    {
        var kind = address.IsData ? "datasets" : "models";
        var answer = await Http.ReadAsync(
            At($"api/{kind}/{address.Repository}/revision/{Uri.EscapeDataString(address.Revision ?? "main")}?blobs=true"),
            MostBytes,
            cancellation);
        using var document = JsonDocument.Parse(answer);
        var root = document.RootElement;
        var commit = root.GetProperty("sha").GetString() ?? "";
        if (!HubFile.IsHex(commit, 40)) throw new FormatException("the commit is not valid.");
        var siblings = root.TryGetProperty("siblings", out var list) && list.ValueKind == JsonValueKind.Array ? list : default;
        if (siblings.ValueKind != JsonValueKind.Array) return new HubListing(commit, []);
        if (siblings.GetArrayLength() > MostFiles)
            throw new InputException($"{address.Source} lists {siblings.GetArrayLength():N0} files, more than the {MostFiles:N0} that are "
                + "allowed. Name another repository.");
        return new HubListing(commit, [.. siblings.EnumerateArray().Select(Read)]);
    }

    private static HubFile Read(JsonElement file)
    {
        var path = file.GetProperty("rfilename").GetString() ?? "";
        var large = file.TryGetProperty("lfs", out var lfs) && lfs.ValueKind == JsonValueKind.Object ? lfs : default;
        if (large.ValueKind == JsonValueKind.Object && large.TryGetProperty("sha256", out var digest))
            return new HubFile(path, Number(large, "size") ?? Number(file, "size") ?? -1, digest.GetString());
        return new HubFile(path, Number(file, "size") ?? -1, null, file.TryGetProperty("blobId", out var blob) ? blob.GetString() : null);
    }

    private static long? Number(JsonElement part, string name) =>
        part.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetInt64() : null;
}
