using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Finds files by a path in which <c>*</c> stands for part of a name, <c>?</c> for one character and <c>**</c> for any folders.
/// </summary>
internal static class FilePattern
{
    private const int Shown = 5;

    /// <summary>The files below a folder that match a pattern, in ordinal order of their paths.</summary>
    /// <param name="folder">The folder the pattern starts from.</param>
    /// <param name="pattern">The pattern; an absolute path is used directly.</param>
    /// <exception cref="InputException">No file matches.</exception>
    public static IReadOnlyList<string> Find(string folder, string pattern)
    {
        var found = LocalFiles.Find(folder, pattern);
        return found.Count > 0 ? found : throw Missing(pattern, Path.GetFullPath(Path.Combine(folder, pattern)));
    }

    private static InputException Missing(string pattern, string folder)
    {
        if (Directory.Exists(folder))
            return new($"'{pattern}' is a folder. Name its files, such as {pattern.TrimEnd('/')}/*.jsonl.");
        while (!Directory.Exists(folder) && Path.GetDirectoryName(folder) is { } parent)
            folder = parent;
        var names = Directory.EnumerateFileSystemEntries(folder)
            .Select(entry => Path.GetFileName(entry)).Order(StringComparer.Ordinal).ToList();
        var more = names.Count > Shown ? $" and {names.Count - Shown} more" : "";
        var there = names.Count == 0 ? "which is empty" : $"which holds {string.Join(", ", names.Take(Shown))}{more}";
        return new($"no file matches '{pattern}'. The nearest folder is {folder}, {there}. Correct the path.");
    }

}
