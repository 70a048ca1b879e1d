using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>The place of a hub and of its cache.</summary>
/// <param name="Endpoint">The hub's address.</param>
/// <param name="Cache">The folder of its cache.</param>
/// <param name="Token">The token for repositories that are not public; null for none.</param>
public sealed record HubPlace(Uri Endpoint, string Cache, HubToken? Token = null);

/// <summary>How files are transferred.</summary>
/// <param name="Attempts">The number of consecutive failed requests before the transfer is given up.</param>
/// <param name="BackoffSeconds">The pause after the first failure; it doubles with each further one.</param>
/// <param name="LongestWaitSeconds">The longest pause, also when the hub asks for a longer one.</param>
/// <param name="StallSeconds">How long a request may stall before it counts as failed.</param>
/// <param name="Files">The number of files that are fetched at once.</param>
/// <param name="Ranges">The number of ranges of one file that are fetched at once.</param>
/// <param name="RangeBytes">The smallest size of a range in bytes.</param>
public sealed record TransferSettings(
    int Attempts = 5,
    double BackoffSeconds = 0.5,
    double LongestWaitSeconds = 60,
    double StallSeconds = 30,
    int Files = 4,
    int Ranges = 4,
    long RangeBytes = 32L << 20);

/// <summary>How hubs are used.</summary>
/// <param name="HuggingFace">Hugging Face's hub, with the cache of its Python library.</param>
/// <param name="ModelScope">ModelScope's hub, with the cache of its Python library.</param>
/// <param name="Offline">Whether only the cache is used.</param>
/// <param name="Links">Whether to make links; else files are copied.</param>
/// <param name="Transfer">How files are transferred.</param>
public sealed record HubSettings(
    HubPlace HuggingFace,
    HubPlace ModelScope,
    bool Offline = false,
    bool Links = true,
    TransferSettings? Transfer = null)
{
    /// <summary>The settings that the hubs' own libraries would use, by the same variables.</summary>
    /// <param name="offline">Whether only the cache is used, independent of the variables.</param>
    /// <param name="read">Reads a variable; the process's own when left out.</param>
    /// <exception cref="InputException">A variable cannot be understood.</exception>
    public static HubSettings FromEnvironment(bool offline = false, Func<string, string?>? read = null)
    {
        string? Of(params IEnumerable<string> names) =>
            names.Select(read ?? Environment.GetEnvironmentVariable).FirstOrDefault(value => !string.IsNullOrWhiteSpace(value))?.Trim();
        var user = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        string Folder(string path) =>
            Path.GetFullPath(path == "~" || path.StartsWith("~/", StringComparison.Ordinal) ? user + path[1..] : path);
        var common = Of("XDG_CACHE_HOME") ?? Path.Combine(user, ".cache");
        var home = Folder(Of("HF_HOME") ?? Path.Combine(common, "huggingface"));
        var huggingFace = new HubPlace(
            Endpoint(Of("HF_ENDPOINT") ?? "https://huggingface.co", "HF_ENDPOINT"),
            Folder(Of("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? Path.Combine(home, "hub")),
            HubToken.Of(Of("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"), "HF_TOKEN")
                ?? TokenFile(Folder(Of("HF_TOKEN_PATH") ?? Path.Combine(home, "token"))));
        var domain = Of("MODELSCOPE_DOMAIN") ?? "www.modelscope.cn";
        var modelScope = new HubPlace(
            Endpoint(domain.Contains("://", StringComparison.Ordinal) ? domain : "https://" + domain, "MODELSCOPE_DOMAIN"),
            Folder(Of("MODELSCOPE_CACHE") ?? Path.Combine(user, ".cache", "modelscope", "hub")),
            HubToken.Of(Of("MODELSCOPE_API_TOKEN"), "MODELSCOPE_API_TOKEN"));
        var stall = new TransferSettings().StallSeconds;
        if (Of("HF_HUB_DOWNLOAD_TIMEOUT") is { } seconds)
            stall = double.TryParse(seconds, out var number) && number is > 0 and < 1e6
                ? number
                : throw new InputException($"HF_HUB_DOWNLOAD_TIMEOUT is '{seconds}'; it must be a number of seconds.");
        return new HubSettings(
            huggingFace,
            modelScope,
            offline || IsTrue(Of("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")),
            !IsTrue(Of("HF_HUB_DISABLE_SYMLINKS")),
            new TransferSettings(StallSeconds: stall));
    }

    /// <summary>The place of a hub.</summary>
    internal HubPlace Of(HubName hub) => hub == HubName.HuggingFace ? HuggingFace : ModelScope;

    private static bool IsTrue(string? value) => value?.ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE";

    private static Uri Endpoint(string text, string variable) =>
        Uri.TryCreate(text.TrimEnd('/'), UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.UserInfo.Length == 0
            ? uri
            : throw new InputException($"{variable} is '{text}'; it must be the address of a hub, such as https://huggingface.co.");

    private static HubToken? TokenFile(string file)
    {
        try
        {
            return File.Exists(file) ? HubToken.Of(File.ReadAllText(file), file) : null;
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            // A token that cannot be read is ignored: public repositories need none.
            return null;
        }
    }
}
