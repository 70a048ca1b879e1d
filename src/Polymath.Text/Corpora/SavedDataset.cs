using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Folders that Hugging Face's <c>datasets</c> writes (<c>save_to_disk</c>): Arrow files with a state, or a folder of them for each split.
/// </summary>
internal static class SavedDataset
{
    /// <summary>The files of such a folder, in the order of its rows.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="report">Receives the splits that are not read.</param>
    /// <exception cref="InputException">The folder is damaged, or there are several splits and none is for training.</exception>
    public static List<string> Files(string folder, SourceReport report)
    {
        var splits = Path.Combine(folder, SavedDatasetFiles.Splits);
        if (!File.Exists(splits))
            return FilesOf(folder);
        var names = (Read(splits)["splits"] as JsonArray ?? []).Select(name => name?.ToString() ?? "").ToList();
        var chosen = names.Count == 1 ? names[0] : names.Find(name => name == "train");
        if (chosen is null)
            throw new InputException($"{folder} holds the splits {string.Join(", ", names)}. Say which one is meant, such as "
                + $"{folder}/{names.FirstOrDefault() ?? "train"}.");
        foreach (var other in names.Where(name => name != chosen))
            report.Count($"split '{other}' of {folder} is not read: name {Path.Combine(folder, other)} for it", 0, null);
        return FilesOf(Path.Combine(folder, chosen));
    }

    private static List<string> FilesOf(string folder)
    {
        var file = Path.Combine(folder, SavedDatasetFiles.State);
        var state = Read(file);
        if (state["_indices_files"] is JsonArray { Count: > 0 })
            throw new InputException($"{folder} is a selection of rows of other files. Save it whole: "
                + "dataset.flatten_indices().save_to_disk(...).");
        var names = (state["_data_files"] as JsonArray ?? []).Select(item => item?["filename"]?.ToString()).OfType<string>().ToList();
        var files = names.ConvertAll(name => Path.Combine(folder, Path.GetFileName(name)));
        if (files.Count == 0 || files.Exists(name => !File.Exists(name)))
            throw new InputException($"{file} names {(names.Count == 0 ? "no files" : "files that are not there")}. Is the folder whole? "
                + "Fetch or save it again.");
        return files;
    }

    private static JsonObject Read(string file)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllBytes(file)) as JsonObject ?? throw new JsonException("no object.");
        }
        catch (Exception fault) when (fault is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file} cannot be read: {fault.Message} Fetch or save the folder again.", fault);
        }
    }
}
