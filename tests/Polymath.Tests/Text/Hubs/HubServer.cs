using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Web;

namespace Polymath.Tests.Text.Hubs;

/// <summary>A request as it arrived.</summary>
internal sealed record HubRequest(
    string Method, string Path, IReadOnlyDictionary<string, string> Query, IReadOnlyDictionary<string, string> Headers)
{
    public bool IsContent => Path.Contains("/resolve/", StringComparison.Ordinal) || Query.ContainsKey("FilePath");

    public string? Range => Headers.GetValueOrDefault("range");
}

/// <summary>The faults of a server.</summary>
/// <param name="Status">The status; 0 for the usual answer.</param>
/// <param name="Headers">More headers.</param>
/// <param name="CutAfter">The bytes of content after which the connection is cut.</param>
/// <param name="Content">Other content.</param>
/// <param name="NoRanges">Whether ranges are not understood.</param>
/// <param name="PauseAfter">The bytes of content after which nothing comes for a while.</param>
/// <param name="Pause">That while.</param>
internal sealed record Trouble(
    int Status = 0,
    string Headers = "",
    long? CutAfter = null,
    byte[]? Content = null,
    bool NoRanges = false,
    long? PauseAfter = null,
    TimeSpan Pause = default);

/// <summary>
/// A hub on this machine that speaks as Hugging Face's and ModelScope's do, and misbehaves as it is told. It ends with its test.
/// </summary>
internal sealed class HubServer : IDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource end = new();
    private readonly Dictionary<string, (string Commit, Dictionary<string, byte[]> Files)> repositories = new(StringComparer.Ordinal);

    public HubServer()
    {
        listener.Start();
        Endpoint = new Uri($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");
        _ = Task.Run(AcceptAsync);
    }

    public Uri Endpoint { get; }

    public ConcurrentQueue<HubRequest> Requests { get; } = new();

    public IEnumerable<HubRequest> Contents => Requests.Where(request => request.IsContent && request.Method == "GET");

    /// <summary>Chooses the fault of a request; null for none.</summary>
    public Func<HubRequest, Trouble?> Misbehave { get; set; } = _ => null;

    /// <summary>The number of file bytes from which a file counts as large.</summary>
    public int Large { get; init; } = 1000;

    public static string CommitOf(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..40];

    public static string BlobId(byte[] content)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        hash.AppendData(Encoding.ASCII.GetBytes($"blob {content.Length}\0"));
        hash.AppendData(content);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>
    /// Puts a repository up, or a newer commit of it; <paramref name="repository"/> is <c>models/ORG/NAME</c> or <c>datasets/ORG/NAME</c>.
    /// </summary>
    public string Put(string repository, params (string Path, byte[] Content)[] files)
    {
        var held = files.ToDictionary(file => file.Path, file => file.Content, StringComparer.Ordinal);
        var commit = CommitOf(repository + string.Concat(held.Select(file => file.Key + BlobId(file.Value))));
        repositories[repository] = (commit, held);
        repositories[repository + "@" + commit] = (commit, held);
        return commit;
    }

    /// <summary>Publishes a folder's files.</summary>
    public string PutFolder(string repository, string folder, params (string Path, byte[] Content)[] more) =>
        Put(repository, [.. Directory.GetFiles(folder).Select(file => (Path.GetFileName(file), File.ReadAllBytes(file))), .. more]);

    /// <summary>Publishes another server's files.</summary>
    public void PutFolderOf(HubServer other, string repository) =>
        Put(repository, [.. other.repositories[repository].Files.Select(file => (file.Key, file.Value))]);

    public string DigestOf(byte[] content) =>
        content.Length >= Large ? Convert.ToHexStringLower(SHA256.HashData(content)) : BlobId(content);

    private async Task AcceptAsync()
    {
        while (!end.IsCancellationRequested)
        {
            try
            {
                var client = await listener.AcceptTcpClientAsync(end.Token);
                _ = Task.Run(() => ServeAsync(client));
            }
            catch (Exception fault) when (fault is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using var closing = client;
        try
        {
            await using var stream = client.GetStream();
            if (await ReadAsync(stream) is not { } request) return;
            Requests.Enqueue(request);
            await AnswerAsync(stream, request, Misbehave(request) ?? new Trouble());
        }
        catch (Exception fault) when (fault is IOException or SocketException or OperationCanceledException)
        {
            // The client may close the connection.
        }
    }

    private async Task<HubRequest?> ReadAsync(NetworkStream stream)
    {
        var head = new StringBuilder();
        var one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (await stream.ReadAsync(one, end.Token) == 0) return null;
            head.Append((char)one[0]);
        }
        var lines = head.ToString().Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        var target = lines[0].Split(' ')[1].Split('?', 2);
        var query = HttpUtility.ParseQueryString(target.Length > 1 ? target[1] : "");
        return new HubRequest(
            lines[0].Split(' ')[0],
            Uri.UnescapeDataString(target[0]),
            query.AllKeys.OfType<string>().ToDictionary(key => key, key => query[key]!),
            lines.Skip(1).Select(line => line.Split(": ", 2)).ToDictionary(pair => pair[0].ToLowerInvariant(), pair => pair[1]));
    }

    private async Task AnswerAsync(NetworkStream stream, HubRequest request, Trouble trouble)
    {
        var (status, headers, content) = trouble.Status != 0 ? (trouble.Status, trouble.Headers, trouble.Content ?? []) : Usual(request);
        if (trouble.Status == 0 && trouble.Content is { } other) content = other;
        if (status == 200 && !trouble.NoRanges && request.IsContent && request.Range is { } range)
        {
            var bounds = range["bytes=".Length..].Split('-');
            var (first, last) =
                (int.Parse(bounds[0]), bounds[1].Length > 0 ? Math.Min(int.Parse(bounds[1]), content.Length - 1) : content.Length - 1);
            headers += $"Content-Range: bytes {first}-{last}/{content.Length}\r\n";
            (status, content) = (206, content[first..(last + 1)]);
        }
        await stream.WriteAsync(
            Encoding.Latin1.GetBytes($"HTTP/1.1 {status} X\r\nContent-Length: {content.Length}\r\nConnection: close\r\n{headers}\r\n"),
            end.Token);
        if (request.Method == "HEAD") return;
        for (var sent = 0; sent < content.Length;)
        {
            var next = Math.Min(content.Length, sent + 4096);
            if (trouble.CutAfter is { } cut) next = (int)Math.Min(next, cut);
            if (trouble.PauseAfter is { } pause && sent >= pause) await Task.Delay(trouble.Pause, end.Token);
            if (next == sent) return;
            await stream.WriteAsync(content.AsMemory(sent, next - sent), end.Token);
            sent = next;
        }
    }

    private (int Status, string Headers, byte[] Content) Usual(HubRequest request)
    {
        (int, string, byte[]) missing = (404, "", []);
        var parts = request.Path.Trim('/').Split('/');
        switch (parts)
        {
            case ["api", "v1", var kind, var org, var name, "repo", "files" or "tree"]:
                return Find($"{kind}/{org}/{name}", request.Query["Revision"], "master") is { } scoped
                    ? (200, "", ScopeListing(scoped, request))
                    : missing;
            case ["api", "v1", var kind, var org, var name, "repo"]:
                return Find($"{kind}/{org}/{name}", request.Query["Revision"], "master")?.Files
                    .GetValueOrDefault(request.Query["FilePath"]) is { } scope
                    ? (200, "", scope)
                    : missing;
            case ["api", "models" or "datasets", .., "revision", var revision]:
                return Find(string.Join('/', parts[1..^2]), revision, "main") is { } listed ? (200, "", Listing(listed)) : missing;
        }
        var at = Array.IndexOf(parts, "resolve");
        if (at < 0) return missing;
        var repository = parts[0] == "datasets" ? string.Join('/', parts[..at]) : "models/" + string.Join('/', parts[..at]);
        if (Find(repository, parts[at + 1], "main") is not { } found
            || !found.Files.TryGetValue(string.Join('/', parts[(at + 2)..]), out var content))
            return missing;
        return (200, $"X-Repo-Commit: {found.Commit}\r\nETag: \"{DigestOf(content)}\"\r\nX-Linked-Size: {content.Length}\r\nAccept-Ranges: "
            + "bytes\r\n", content);
    }

    private (string Commit, Dictionary<string, byte[]> Files)? Find(string repository, string revision, string main)
    {
        var name = revision == main ? repository : $"{repository}@{revision}";
        return repositories.TryGetValue(name, out var found) ? found : null;
    }

    private byte[] Listing((string Commit, Dictionary<string, byte[]> Files) repository) => JsonSerializer.SerializeToUtf8Bytes(new
    {
        id = "x",
        sha = repository.Commit,
        siblings = repository.Files.Select(file => (object)(file.Value.Length >= Large
            ? new
            {
                rfilename = file.Key, size = file.Value.Length, blobId = BlobId(file.Value),
                lfs = new { sha256 = DigestOf(file.Value), size = file.Value.Length, pointerSize = 130 },
            }
            : new { rfilename = file.Key, size = file.Value.Length, blobId = BlobId(file.Value) })),
    });

    private static byte[] ScopeListing((string Commit, Dictionary<string, byte[]> Files) repository, HubRequest request)
    {
        var entries = repository.Files.Select(file => new
        {
            Path = file.Key, Name = Path.GetFileName(file.Key), Type = "blob", Size = file.Value.Length,
            Sha256 = Convert.ToHexStringLower(SHA256.HashData(file.Value)), Revision = repository.Commit, CommittedDate = 1700000000,
        });
        if (request.Query.TryGetValue("PageNumber", out var page))
            entries = entries.Skip((int.Parse(page) - 1) * int.Parse(request.Query["PageSize"])).Take(int.Parse(request.Query["PageSize"]));
        return JsonSerializer.SerializeToUtf8Bytes(new { Code = 200, Success = true, Data = new { Files = entries } });
    }

    public void Dispose()
    {
        end.Cancel();
        listener.Dispose();
    }
}
