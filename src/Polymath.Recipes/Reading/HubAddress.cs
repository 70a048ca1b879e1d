using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>The hubs that models and data are fetched from.</summary>
public enum HubName
{
    /// <summary>huggingface.co, or its replacement.</summary>
    HuggingFace,

    /// <summary>modelscope.cn, or its replacement.</summary>
    ModelScope,
}

/// <summary>
/// A repository on a hub: <c>hf:ORG/NAME[@REVISION]</c>, <c>modelscope:ORG/NAME[@REVISION]</c>; for data, <c>/path/glob</c> may follow.
/// </summary>
/// <param name="Hub">The hub.</param>
/// <param name="IsData">Whether the repository holds data; if not, it holds a model, a tokenizer or an adapter.</param>
/// <param name="Repository"><c>ORG/NAME</c>, or the bare name of one of the oldest repositories.</param>
/// <param name="Revision">A branch, a tag or a commit; the main branch when null.</param>
/// <param name="Path">The path or glob of the files; null for the files that are needed.</param>
public sealed partial record HubAddress(
    HubName Hub,
    bool IsData,
    string Repository,
    string? Revision,
    string? Path)
{
    private const string HuggingFace = "hf:", ModelScope = "modelscope:", Data = "datasets/";

    /// <summary>The prefixes of addresses.</summary>
    public static IReadOnlyList<string> Prefixes { get; } = [HuggingFace, ModelScope];

    /// <summary>The address without a path, in canonical form.</summary>
    public string Source => $"{(Hub == HubName.HuggingFace ? HuggingFace : ModelScope)}{(IsData ? Data : "")}{Repository}"
        + $"{(Revision is null ? "" : "@" + Revision.Replace("/", "%2F", StringComparison.Ordinal))}";

    /// <summary>Whether a text of a recipe or a command is meant as the address of a repository.</summary>
    public static bool IsAddress([NotNullWhen(true)] string? text) =>
        text is not null && Prefixes.Any(prefix => text.StartsWith(prefix, StringComparison.Ordinal));

    /// <summary>Reads the address of a model, a tokenizer or an adapter.</summary>
    /// <exception cref="InputException">It is not one.</exception>
    public static HubAddress ParseModel(string text) => TryParse(text, data: false, out var address, out var problem)
        ? address
        : throw new InputException($"{problem}. Write {ModelForm}.");

    /// <summary>Reads the address of data.</summary>
    /// <exception cref="InputException">It is not one.</exception>
    public static HubAddress ParseData(string text) => TryParse(text, data: true, out var address, out var problem)
        ? address
        : throw new InputException($"{problem}. Write {DataForm}.");

    /// <summary>Reads an address of either kind: of data when it contains <c>datasets/</c>.</summary>
    /// <exception cref="InputException">It is not one.</exception>
    public static HubAddress ParseAny(string text)
    {
        if (!IsAddress(text)) throw new InputException($"'{text}' is not a hub's address. Write {ModelForm}, or {DataForm}.");
        return Rest(text).StartsWith(Data, StringComparison.Ordinal) ? ParseData(text) : ParseModel(text);
    }

    /// <summary>How the address of a model is written.</summary>
    internal const string ModelForm = "hf:ORG/NAME or hf:ORG/NAME@REVISION (or modelscope:), such as hf:Qwen/Qwen3-0.6B";

    /// <summary>How the address of data is written.</summary>
    internal const string DataForm =
        "hf:datasets/ORG/NAME[@REVISION][/path] (or modelscope:), such as hf:datasets/tatsu-lab/alpaca/data/*.parquet";

    /// <summary>Reads an address.</summary>
    /// <param name="text">The address.</param>
    /// <param name="data">Whether the address must be of data, which may have a path.</param>
    /// <param name="address">The address, when it is well formed.</param>
    /// <param name="problem">What is wrong with it, when it is not.</param>
    public static bool TryParse(
        string text, bool data, [NotNullWhen(true)] out HubAddress? address, [NotNullWhen(false)] out string? problem)
    {
        address = null;
        var hub = text.StartsWith(HuggingFace, StringComparison.Ordinal) ? HubName.HuggingFace : HubName.ModelScope;
        var rest = Rest(text);
        var saysData = rest.StartsWith(Data, StringComparison.Ordinal);
        var match = Form().Match(saysData ? rest[Data.Length..] : rest);
        var (name, revision, path) = (match.Groups["name"].Value, Text(match, "revision"), Text(match, "path"));
        revision = revision?.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        problem = match switch
        {
            // Other tools would read a bare name with a path as ORG/NAME.
            _ when !IsAddress(text) || !match.Success
                || (path is not null && revision is null && !name.Contains('/', StringComparison.Ordinal)) =>
                $"'{text}' is not the address of a repository",
            _ when name.Contains("..", StringComparison.Ordinal) || name.Contains("--", StringComparison.Ordinal)
                || name.Split('/').Any(part => part.Length > 96 || part[^1] is '.' or '-') =>
                $"'{name}' cannot name a repository",
            _ when hub == HubName.ModelScope && !name.Contains('/', StringComparison.Ordinal) => $"'{text}' has no organisation",
            _ when revision is not null && !Name().IsMatch(revision) => $"'{revision}' cannot be a revision",
            _ when saysData && !data => $"'{text}' is data, but a model is expected",
            _ when path is not null && !data => $"'{text}' names files, but a whole model is expected",
            _ when path is not null && !IsInside(path) => $"'{path}' is not a path inside the repository",
            _ => null,
        };
        if (problem is null)
            address = new HubAddress(
                hub,
                data,
                name,
                revision,
                path);
        return problem is null;
    }

    private static string Rest(string text) => text[(text.IndexOf(':', StringComparison.Ordinal) + 1)..];

    private static string? Text(Match match, string group) => match.Groups[group] is { Success: true } found ? found.Value : null;

    private static bool IsInside(string path) =>
        !path.AsSpan().ContainsAny('\\', '\0') && path.Split('/').All(part => part is not ("" or "." or ".."));

    [GeneratedRegex(@"^(?<name>[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)?)(?:@(?<revision>[^/]*))?(?:/(?<path>.+))?\z",
        RegexOptions.CultureInvariant)]
    private static partial Regex Form();

    [GeneratedRegex(@"^(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*\z", RegexOptions.CultureInvariant)]
    private static partial Regex Name();
}
