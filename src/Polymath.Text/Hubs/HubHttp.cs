using System.Net;
using System.Net.Http.Headers;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>A request failed for a temporary reason: the connection, a stall, an overloaded hub.</summary>
internal sealed class PassingFault(string message, TimeSpan? after = null, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The wait that the hub asks for.</summary>
    public TimeSpan? After => after;
}

/// <summary>A hub refused a request.</summary>
internal sealed class RefusedRequest(HttpStatusCode status, string code, Uri address) : Exception($"{address} answered {(int)status}")
{
    /// <summary>The status.</summary>
    public HttpStatusCode Status => status;

    /// <summary>The hub's name of the reason, such as <c>GatedRepo</c>; may be empty.</summary>
    public string Code => code;

    /// <summary>The requested address.</summary>
    public Uri Address => address;
}

/// <summary>Requests to one hub. Redirections are followed by this class, so that the token is sent only to the hub itself.</summary>
internal sealed class HubHttp : IDisposable
{
    private const int MostRedirections = 10, LongestConnect = 10;
    private readonly HttpClient client;
    private readonly Uri endpoint;
    private readonly Action<HttpRequestMessage> authorize;
    private readonly TransferSettings settings;

    /// <summary>Makes a client; nothing is sent yet.</summary>
    /// <param name="endpoint">The hub's address.</param>
    /// <param name="authorize">Puts the token into a request.</param>
    /// <param name="settings">How long to wait.</param>
    public HubHttp(Uri endpoint, Action<HttpRequestMessage> authorize, TransferSettings settings)
    {
        (this.endpoint, this.authorize, this.settings) = (endpoint, authorize, settings);
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = TimeSpan.FromSeconds(
            Math.Min(LongestConnect, settings.StallSeconds)), PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        client = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
        client.DefaultRequestHeaders.UserAgent.Add(
            new ProductInfoHeaderValue("polymath", typeof(HubHttp).Assembly.GetName().Version?.ToString(2) ?? "0"));
    }

    private TimeSpan Stall => TimeSpan.FromSeconds(settings.StallSeconds);

    /// <summary>Opens a response; the caller reads its content.</summary>
    /// <param name="method">GET or HEAD.</param>
    /// <param name="address">The address.</param>
    /// <param name="range">The first and the last byte wanted; all when null.</param>
    /// <param name="stay">Whether to stop at a redirection to another host and return that response.</param>
    /// <param name="cancellation">Ends the request.</param>
    public async Task<HttpResponseMessage> OpenAsync(
        HttpMethod method,
        Uri address,
        (long First, long Last)? range,
        bool stay,
        CancellationToken cancellation)
    {
        var at = address;
        for (var turn = 0; turn <= MostRedirections; turn++)
        {
            using var request = new HttpRequestMessage(method, at);
            request.Headers.AcceptEncoding.ParseAdd("identity");
            if (range is { } part) request.Headers.Range = new RangeHeaderValue(part.First, part.Last);
            if (IsOwn(at)) authorize(request);
            var response = await WithoutStall(
                token => client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, token), at, cancellation);
            if ((int)response.StatusCode is not (301 or 302 or 303 or 307 or 308)) return Checked(response, address);
            var next = response.Headers.Location is { } location ? new Uri(at, location) : null;
            if (stay && next is not null && !IsOwn(next)) return response;
            response.Dispose();
            if (next is null || next.Scheme is not ("http" or "https") || (at.Scheme == "https" && next.Scheme == "http"))
                throw new InputException($"{at} redirects to {next?.GetLeftPart(UriPartial.Authority) ?? "nowhere"}, which is not "
                    + "followed. Check the endpoint.");
            at = next;
        }
        throw new InputException($"{address} redirects more than {MostRedirections} times. Check the endpoint.");
    }

    /// <summary>Reads a whole response, with retries.</summary>
    /// <param name="address">The address.</param>
    /// <param name="most">The most bytes it may have.</param>
    /// <param name="cancellation">Ends the request.</param>
    public Task<byte[]> ReadAsync(Uri address, long most, CancellationToken cancellation) => RetryAsync(async () =>
    {
        using var response = await OpenAsync(
            HttpMethod.Get,
            address,
            null,
            stay: false,
            cancellation);
        using var content = new MemoryStream();
        await foreach (var piece in PiecesAsync(response, address, cancellation))
        {
            content.Write(piece.Span);
            if (content.Length > most)
                throw new InputException($"{address} answers with more than {most >> 20} MB, which is more than any listing should have. "
                    + "Name another repository.");
        }
        if (response.Content.Headers.ContentLength is { } length && length != content.Length)
            throw new PassingFault($"{address}: the connection ended early");
        return content.ToArray();
    }, cancellation);

    /// <summary>Repeats an action until it succeeds, fails permanently, or has no attempts left.</summary>
    public async Task<T> RetryAsync<T>(Func<Task<T>> work, CancellationToken cancellation)
    {
        for (var failures = 1; ; failures++)
        {
            try
            {
                return await work();
            }
            catch (PassingFault fault) when (failures < settings.Attempts)
            {
                await PauseAsync(failures, fault, cancellation);
            }
        }
    }

    /// <summary>Waits as long as the hub asks, or twice as long each time, up to a limit.</summary>
    public Task PauseAsync(int failures, PassingFault fault, CancellationToken cancellation)
    {
        var seconds = fault.After?.TotalSeconds ?? settings.BackoffSeconds * Math.Pow(2, failures - 1);
        return Task.Delay(TimeSpan.FromSeconds(Math.Clamp(seconds, 0, settings.LongestWaitSeconds)), cancellation);
    }

    /// <summary>The content as it arrives. The request fails when nothing arrives for too long.</summary>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> PiecesAsync(
        HttpResponseMessage response, Uri address, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        var buffer = new byte[1 << 17];
        await using var stream = await WithoutStall(response.Content.ReadAsStreamAsync, address, cancellation);
        while (await WithoutStall(token => stream.ReadAsync(buffer, token).AsTask(), address, cancellation) is > 0 and var count)
            yield return buffer.AsMemory(0, count);
    }

    /// <inheritdoc/>
    public void Dispose() => client.Dispose();

    private bool IsOwn(Uri address) => address.Scheme == endpoint.Scheme && address.Port == endpoint.Port
        && string.Equals(address.Host, endpoint.Host, StringComparison.OrdinalIgnoreCase);

    private async Task<T> WithoutStall<T>(Func<CancellationToken, Task<T>> work, Uri address, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Stall);
        try
        {
            return await work(limit.Token);
        }
        catch (OperationCanceledException fault) when (!cancellation.IsCancellationRequested)
        {
            throw new PassingFault($"{address.Host}: nothing arrived for {settings.StallSeconds:G3} seconds", null, fault);
        }
        catch (Exception fault) when (fault is HttpRequestException or IOException)
        {
            throw new PassingFault($"{address.Host}: {fault.InnerException?.Message ?? fault.Message}", null, fault);
        }
    }

    private static HttpResponseMessage Checked(HttpResponseMessage response, Uri address)
    {
        if (response.IsSuccessStatusCode) return response;
        using (response)
        {
            var status = response.StatusCode;
            if (status is HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout || (int)status >= 500)
                throw new PassingFault($"{address.Host} answered {(int)status}", Asked(response.Headers.RetryAfter));
            throw new RefusedRequest(status, response.Headers.TryGetValues("X-Error-Code", out var codes) ? codes.First() : "", address);
        }
    }

    private static TimeSpan? Asked(RetryConditionHeaderValue? header) =>
        header?.Delta ?? (header?.Date is { } date ? date - DateTimeOffset.UtcNow : null);
}
