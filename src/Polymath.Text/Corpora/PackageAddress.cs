using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>The address of files in a data package: <c>npm:PACKAGE@VERSION/path/glob</c>.</summary>
/// <param name="Package">The package, with its scope.</param>
/// <param name="Version">The exact version.</param>
/// <param name="Glob">The path or glob below the package's root.</param>
internal sealed partial record PackageAddress(string Package, string Version, string Glob)
{
    /// <summary>What every address begins with.</summary>
    public const string Prefix = "npm:";

    /// <summary>The name of the archive, as the registry's client writes it.</summary>
    public string ArchiveName => $"{Package.TrimStart('@').Replace('/', '-')}-{Version}.tgz";

    /// <summary>A folder name that no other package has.</summary>
    public string FolderName => $"{Package.Replace('/', '+')}-{Version}";

    /// <summary>Reads an address.</summary>
    /// <exception cref="InputException">It is not one.</exception>
    public static PackageAddress Parse(string address)
    {
        var match = Form().Match(address);
        return match.Success && !match.Groups["glob"].Value.Split('/').Contains("..")
            ? new(match.Groups["package"].Value, match.Groups["version"].Value, match.Groups["glob"].Value)
            : throw new InputException($"'{address}' is not the address of a package's files. Write npm:PACKAGE@VERSION/path, such as " +
                $"npm:chinese-poetry@2.0.1/dist/quantangshi/*.json.");
    }

    [GeneratedRegex(@"^npm:(?<package>(@[a-z0-9~_][a-z0-9._~-]*/)?[a-z0-9~_][a-z0-9._~-]*)@(?<version>[0-9][0-9A-Za-z.+-]*)/(?<glob>[^\\]+)$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex Form();
}
