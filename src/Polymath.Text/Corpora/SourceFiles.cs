using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>A file of a source and how its rows are read.</summary>
/// <param name="File">The file.</param>
/// <param name="Spec">The settings.</param>
internal sealed record SourceFile(string File, FilesSpec Spec);

/// <summary>The files of a source, with the settings from published descriptions next to them.</summary>
internal static class SourceFiles
{
    /// <summary>The files with the settings of each.</summary>
    /// <param name="files">The files, folders of saved datasets, and entries of descriptions.</param>
    /// <param name="spec">The recipe's settings.</param>
    /// <param name="report">Receives what is not read of a folder.</param>
    /// <param name="fetch">Fetches the files that an entry names on a hub.</param>
    /// <exception cref="InputException">A folder or a description is not valid.</exception>
    public static List<SourceFile> Of(
        IReadOnlyList<string> files, FilesSpec spec, SourceReport report, Func<string, IReadOnlyList<string>> fetch)
    {
        var sources = new List<SourceFile>();
        foreach (var file in files)
        {
            if (DataDescription.Parse(file) is { } described)
            {
                var asked = described.Applied(spec);
                sources.AddRange((described.Address is { } address ? fetch(address) : described.Files(report))
                    .Select(found => new SourceFile(found, asked)));
            }
            else if (Directory.Exists(file))
                sources.AddRange(
                    SavedDataset.Files(file, report).Select(found => new SourceFile(found, spec with { Format = FileFormat.Arrow })));
            else
                sources.Add(new SourceFile(file, spec));
        }
        return sources;
    }
}
