using System.Text;
using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Finds files by a path in which <c>*</c> stands for part of a name, <c>?</c> for one character and <c>**</c> for any folders.</summary>
internal static class FilePattern
{
    private const int Shown = 5;

    /// <summary>The files below a folder that fit a pattern, in ordinal order of their paths.</summary>
    /// <param name="folder">The folder the pattern starts from.</param>
    /// <param name="pattern">The pattern; a whole path is taken as it is.</param>
    /// <exception cref="InputException">No file fits.</exception>
    public static IReadOnlyList<string> Find(string folder, string pattern)
    {
        var path = Path.GetFullPath(Path.Combine(folder, pattern)).Replace('\\', '/');
        if (!IsPattern(path))
            return File.Exists(path) ? [path] : throw Missing(pattern, Directory.Exists(path) ? path : Path.GetDirectoryName(path)!);
        var parts = path.Split('/');
        var plain = parts.TakeWhile(part => !IsPattern(part)).ToArray();
        var root = string.Join('/', plain) is { Length: > 0 } joined ? joined : "/";
        var regex = ToRegex(path);
        List<string> found = [];
        if (Directory.Exists(root))
        {
            var options = new EnumerationOptions { RecurseSubdirectories = parts.Length - plain.Length > 1, IgnoreInaccessible = true, AttributesToSkip = FileAttributes.None };
            found.AddRange(Directory.EnumerateFiles(root + "/", "*", options).Select(file => Path.GetFullPath(file).Replace('\\', '/')).Where(file => regex.IsMatch(file)));
        }

        found.Sort(StringComparer.Ordinal);
        return found.Count > 0 ? found : throw Missing(pattern, root);
    }

    private static bool IsPattern(string path) => path.AsSpan().IndexOfAny('*', '?') >= 0;

    private static InputException Missing(string pattern, string folder)
    {
        while (!Directory.Exists(folder) && Path.GetDirectoryName(folder) is { } parent)
            folder = parent;
        var names = Directory.EnumerateFileSystemEntries(folder).Select(entry => Path.GetFileName(entry)).Order(StringComparer.Ordinal).ToList();
        var there = names.Count == 0 ? "which is empty" : $"which holds " +
            $"{string.Join(", ", names.Take(Shown))}{(names.Count > Shown ? $" and {names.Count - Shown} more" : "")}";
        return new($"no file fits '{pattern}'. The nearest folder is {folder}, {there}. Correct the path under 'files'.");
    }

    private static Regex ToRegex(string path)
    {
        var regex = new StringBuilder("^");
        for (var i = 0; i < path.Length; i++)
        {
            if (string.CompareOrdinal(path, i, "**/", 0, 3) == 0)
            {
                regex.Append("(?:[^/]+/)*");
                i += 2;
            }
            else if (string.CompareOrdinal(path, i, "**", 0, 2) == 0)
            {
                regex.Append(".*");
                i++;
            }
            else
            {
                regex.Append(path[i] switch { '*' => "[^/]*", '?' => "[^/]", var other => Regex.Escape(other.ToString()) });
            }
        }

        return new Regex(regex.Append('$').ToString(), RegexOptions.CultureInvariant | RegexOptions.Singleline | RegexOptions.NonBacktracking);
    }
}
