using System.Text;
using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>
/// Finds the files that a path or glob of a recipe stands for: <c>*</c> and <c>?</c> within a name, <c>**</c> for folders of any depth.
/// </summary>
public static class LocalFiles
{
    /// <summary>The full paths of the files, in ordinal order of their paths; none when nothing fits.</summary>
    /// <param name="baseFolder">The folder that <paramref name="pattern"/> is relative to.</param>
    /// <param name="pattern">The path or glob, with slashes.</param>
    public static IReadOnlyList<string> Find(string baseFolder, string pattern) =>
        [.. Search(baseFolder, pattern).Order(StringComparer.Ordinal)];

    /// <summary>Whether a path or glob matches at least one file.</summary>
    /// <param name="baseFolder">The folder that <paramref name="pattern"/> is relative to.</param>
    /// <param name="pattern">The path or glob, with slashes.</param>
    public static bool Any(string baseFolder, string pattern) => Search(baseFolder, pattern).Any();

    /// <summary>Whether a path, with slashes, matches a pattern.</summary>
    /// <param name="pattern">The path or glob.</param>
    /// <param name="path">The path.</param>
    public static bool Fits(string pattern, string path) =>
        Regex.IsMatch(path, Expression(pattern), RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);

    /// <summary>Whether a path holds wildcards.</summary>
    internal static bool IsGlob(string pattern) => pattern.AsSpan().ContainsAny('*', '?');

    private static IEnumerable<string> Search(string baseFolder, string pattern)
    {
        if (pattern.Length == 0 || pattern.Contains('\0', StringComparison.Ordinal))
            return [];
        var slashed = pattern.Replace('\\', '/');
        if (!IsGlob(slashed))
        {
            var file = Path.GetFullPath(Path.Combine(baseFolder, slashed));
            return File.Exists(file) ? [file] : [];
        }
        var fixedPart = slashed[..(slashed.AsSpan(0, slashed.AsSpan().IndexOfAny('*', '?')).LastIndexOf('/') + 1)];
        var root = Path.GetFullPath(Path.Combine(baseFolder, fixedPart));
        var rest = slashed[fixedPart.Length..];
        return Directory.Exists(root) ? Walk(root, rest) : [];
    }

    private static IEnumerable<string> Walk(string root, string rest)
    {
        var name = new Regex(Expression(rest), RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        var options = new EnumerationOptions
        {
            IgnoreInaccessible = true,
            AttributesToSkip = FileAttributes.None,
            RecurseSubdirectories = rest.Contains('/', StringComparison.Ordinal) || rest.Contains("**", StringComparison.Ordinal),
            MaxRecursionDepth = rest.Contains("**", StringComparison.Ordinal) ? 32 : rest.Count(character => character == '/'),
        };
        return Directory.EnumerateFiles(root, "*", options)
            .Where(file => name.IsMatch(Path.GetRelativePath(root, file).Replace('\\', '/')));
    }

    private static string Expression(string glob)
    {
        var expression = new StringBuilder("^");
        for (var i = 0; i < glob.Length; i++)
        {
            if (glob.AsSpan(i).StartsWith("**/"))
            {
                expression.Append("(?:[^/]+/)*");
                i += 2;
            }
            else if (glob.AsSpan(i).StartsWith("**"))
            {
                expression.Append(".*");
                i++;
            }
            else
            {
                expression.Append(glob[i] switch { '*' => "[^/]*", '?' => "[^/]", var other => Regex.Escape(other.ToString()) });
            }
        }
        return expression.Append("\\z").ToString();
    }
}
