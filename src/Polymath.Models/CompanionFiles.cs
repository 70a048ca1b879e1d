using Polymath.Recipes;
using Polymath.Text.Hubs;

namespace Polymath.Models;

/// <summary>The other files of a model's folder: the tokenizer, the layout of conversations, the settings of generation.</summary>
public static class CompanionFiles
{
    /// <summary>Copies the files that exist.</summary>
    /// <param name="from">The model's folder.</param>
    /// <param name="to">The new folder.</param>
    public static void Copy(string from, string to)
    {
        foreach (var file in HubSelection.Companions.SelectMany(pattern => LocalFiles.Find(from, pattern)))
        {
            var copy = Path.Combine(to, Path.GetRelativePath(Path.GetFullPath(from), file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy, overwrite: true);
        }
    }
}
