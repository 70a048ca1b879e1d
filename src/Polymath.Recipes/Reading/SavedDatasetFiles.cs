namespace Polymath.Recipes;

/// <summary>The files that identify a folder of Hugging Face's <c>datasets</c>.</summary>
public static class SavedDatasetFiles
{
    /// <summary>Names the Arrow files of one split.</summary>
    public const string State = "state.json";

    /// <summary>Names the splits.</summary>
    public const string Splits = "dataset_dict.json";

    /// <summary>Whether a folder is such a folder.</summary>
    /// <param name="folder">The folder.</param>
    public static bool AreIn(string folder) => File.Exists(Path.Combine(folder, State)) || File.Exists(Path.Combine(folder, Splits));
}
