using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>Files inside a published data package: <c>npm:NAME@VERSION/path/glob</c>.</summary>
/// <param name="Name">The package's name, with its scope where it has one.</param>
/// <param name="Version">The exact version.</param>
/// <param name="Path">The path or glob inside the package.</param>
public sealed partial record PackageAddress(string Name, string Version, string Path)
{
    /// <summary>The prefix of every package address.</summary>
    public const string Prefix = "npm:";

    /// <summary>The file name that the registry's client gives the package's archive.</summary>
    public string ArchiveName => $"{Name.TrimStart('@').Replace('/', '-')}-{Version}.tgz";

    /// <summary>A folder name that is unique to the package.</summary>
    public string FolderName => $"{Name.Replace('/', '+')}-{Version}";

    /// <summary>Reads an address.</summary>
    /// <param name="text">The address.</param>
    /// <exception cref="InputException">It is not one.</exception>
    public static PackageAddress Parse(string text) => TryParse(text, out var address, out var problem)
        ? address
        : throw new InputException($"{problem}. Write npm:PACKAGE@VERSION/path, such as npm:chinese-poetry@2.0.1/dist/quantangshi/*.json.");

    /// <summary>Reads an address.</summary>
    /// <param name="text">The address.</param>
    /// <param name="address">The address, when it is well formed.</param>
    /// <param name="problem">What is wrong with it, when it is not.</param>
    public static bool TryParse(string text, [NotNullWhen(true)] out PackageAddress? address, [NotNullWhen(false)] out string? problem)
    {
        address = null;
        var match = Form().Match(text);
        problem = match switch
        {
            { Success: false } => $"'{text}' is not a package address",
            _ when !match.Groups["version"].Success => $"'{text}' names no version",
            _ when !Exact().IsMatch(match.Groups["version"].Value) => $"'{match.Groups["version"].Value}' is not an exact version",
            _ when !match.Groups["path"].Success => $"'{text}' names no file inside the package",
            _ when match.Groups["path"].Value.Split('/').Any(part => part is "" or "." or "..") =>
                $"'{match.Groups["path"].Value}' is not a path inside the package",
            _ => null,
        };
        if (problem is null)
            address = new PackageAddress(match.Groups["name"].Value, match.Groups["version"].Value, match.Groups["path"].Value);
        return problem is null;
    }

    [GeneratedRegex(
        @"^npm:(?<name>(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*)(?:@(?<version>[^/]*))?(?:/(?<path>.+))?\z",
        RegexOptions.CultureInvariant)]
    private static partial Regex Form();

    [GeneratedRegex(@"^[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Exact();
}
