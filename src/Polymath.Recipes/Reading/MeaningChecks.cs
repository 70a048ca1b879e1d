using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>
/// Checks texts that refer to something: names that must be declared, patterns that must compile, files and folders that must exist.
/// </summary>
internal sealed class MeaningChecks(MappingNode root, string baseFolder, FaultList faults)
{
    /// <summary>Checks one text.</summary>
    public void Check(Mention mention)
    {
        var (problem, hint) = mention.Meaning switch
        {
            Meaning.DataName => Declared(mention.Text, Keys("data"), "data source", "data sources"),
            Meaning.TableName => Declared(mention.Text, Keys("tables"), "table", "tables"),
            Meaning.RewardName => Declared(mention.Text, Keys("rewards"), "reward", "rewards"),
            Meaning.AbilityName => Declared(mention.Text, Keys("abilities"), "ability", "abilities"),
            Meaning.StageName => Declared(mention.Text, StageNames(), "stage", "stages"),
            Meaning.Pattern => Compiled(mention.Text),
            Meaning.Template => Template(mention.Text),
            Meaning.Family => Declared(mention.Text, ["llama", "chatglm", .. FamilySpec.Names], "family", "families"),
            Meaning.Files => Scheme(mention.Text) is { } scheme ? Remote(mention.Text, scheme) : Local(mention.Text),
            _ => Folder(mention.Text),
        };
        if (problem is not null)
            faults.Add(mention.Path, mention.Place, problem, hint!);
    }

    private List<string> Keys(string section) =>
        root.Find(section)?.Value is MappingNode named ? [.. named.Entries.Select(entry => entry.Key)] : [];

    private IReadOnlyList<string> StageNames() => root.Find("stages")?.Value switch
    {
        ListNode list => Merging.NamesIn(list),
        MappingNode only => only.Text("name") is { } name ? [name] : [],
        _ => [],
    };

    private static (string? Problem, string? Hint) Declared(string name, IReadOnlyList<string> known, string one, string many) =>
        known.Contains(name) ? default : ($"there is no {one} named '{name}'", Nearest.Hint(name, known, many));

    private static (string? Problem, string? Hint) Compiled(string pattern)
    {
        try
        {
            _ = new Regex(pattern, RegexOptions.CultureInvariant);
            return default;
        }
        catch (Exception exception) when (exception is ArgumentException or InsufficientExecutionStackException)
        {
            return (
                $"this is not a regular expression: {exception.Message.TrimEnd('.')}",
                "correct the pattern; single quotes keep its backslashes as they are");
        }
    }

    // A model's own templates are known only when the model is opened.
    private (string? Problem, string? Hint) Template(string text)
    {
        if (text.EndsWith(".jinja", StringComparison.Ordinal))
            return Local(text);
        var shipped = Enum.GetNames<TemplateName>().Select(name => name.ToLowerInvariant()).ToList();
        if (shipped.Contains(text) || root.Find("model")?.Value is MappingNode model && model.Find("folder") is not null)
            return default;
        return ($"there is no shipped chat template '{text}'", Nearest.Hint(text, shipped, "templates"));
    }

    private static string? Scheme(string text)
    {
        var scheme = text[..(text.IndexOf(':', StringComparison.Ordinal) + 1)]; // empty where there is no colon; one letter is a drive
        return scheme.Length > 2 && scheme[..^1].All(char.IsAsciiLetter) ? scheme : null;
    }

    private static (string? Problem, string? Hint) Remote(string text, string scheme)
    {
        if (HubAddress.Prefixes.Contains(scheme))
            return HubAddress.TryParse(text, data: true, out _, out var fault) ? default : (fault, $"write {HubAddress.DataForm}");
        if (scheme != PackageAddress.Prefix)
        {
            var near = Nearest.To(scheme, [PackageAddress.Prefix, .. HubAddress.Prefixes]) is { } known ? $"did you mean '{known}'? " : "";
            return (
                $"'{scheme}' is not a known kind of address",
                $"{near}write a local path, npm:PACKAGE@VERSION/PATH, or hf:datasets/ORG/NAME");
        }
        const string hint = "write npm:PACKAGE@VERSION/PATH with the exact version, such as npm:name@1.2.3/folder/*.json";
        return PackageAddress.TryParse(text, out _, out var problem) ? default : (problem, hint);
    }

    private (string? Problem, string? Hint) Local(string text)
    {
        var file = DescribedData.Split(text).File ?? text;
        if (Reachable(() => LocalFiles.Any(baseFolder, file) || SavedDatasetFiles.AreIn(Path.Combine(baseFolder, file))))
            return default;
        var problem = LocalFiles.IsGlob(text) ? $"no file matches '{text}'" : $"there is no file '{text}'";
        return (problem, Beside(text, Directory.EnumerateFiles));
    }

    private (string? Problem, string? Hint) Folder(string text)
    {
        if (HubAddress.IsAddress(text))
            return HubAddress.TryParse(text, data: false, out _, out var fault) ? default : (fault, $"write {HubAddress.ModelForm}");
        return Reachable(
            () => text.Length > 0 && !text.Contains('\0', StringComparison.Ordinal) && Directory.Exists(Path.Combine(baseFolder, text)))
            ? default
            : ($"there is no folder '{text}'", Beside(text, Directory.EnumerateDirectories));
    }

    /// <summary>A hint with the nearest name in the same folder.</summary>
    private string Beside(string text, Func<string, IEnumerable<string>> list)
    {
        string? near = null;
        Reachable(() =>
        {
            var folder = Path.GetDirectoryName(Path.GetFullPath(Path.Combine(baseFolder, text)));
            near = Directory.Exists(folder)
                ? Nearest.To(Path.GetFileName(text), list(folder).Select(path => Path.GetFileName(path)).Take(1000))
                : null;
            return near is not null;
        });
        return near is not null ? $"did you mean '{near}'?" : "paths are relative to the recipe's folder";
    }

    private static bool Reachable(Func<bool> look)
    {
        try
        {
            return look();
        }
        catch (Exception exception)
            when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return false;
        }
    }
}
