using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tensors.Files;

namespace Polymath.Models;

/// <summary>
/// A model's folder without weights of its own: <c>base.json</c> names the folder with the weights. A stage that keeps its adapter apart
/// does not change the model, which already has a folder.
/// </summary>
public static class ModelBase
{
    /// <summary>
    /// The file that names the base: <c>{"base": "../../01-read/model", "digest": "..."}</c>; a relative path starts from the file's
    /// folder.
    /// </summary>
    public const string File = "base.json";

    /// <summary>The folder that holds a folder's weights: itself, or its base.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <exception cref="InputException">The base is missing, or its weights have changed.</exception>
    public static string Of(string folder)
    {
        var file = Path.Combine(folder, File);
        // A folder with weights of its own needs no base.
        if (!System.IO.File.Exists(file) || WeightFiles.HasOwn(folder)) return folder;
        var (place, digest) = Read(file, folder);
        if (!Directory.Exists(place))
            throw new InputException($"{file} names the base {place}, which is missing: was it moved or deleted? Restore it, or write"
                + $" its new place into {File}.");
        if (System.IO.File.Exists(Path.Combine(place, File)) && !WeightFiles.HasOwn(place))
            throw new InputException($"{file} names the base {place}, which holds no weights of its own either. Write the folder that"
                + $" holds them into {File}.");
        var found = Digest(place);
        if (found == digest) return place;
        throw new InputException($"{file}: the base {place} does not hold the weights that the file was written for (digest {found[..12]},"
            + $" not {digest[..Math.Min(12, digest.Length)]})."
            + " Put those back, or train the stage again.");
    }

    /// <summary>Makes a folder that uses the weights of another; the caller writes the tokenizer and the layout.</summary>
    /// <param name="folder">The folder that is written.</param>
    /// <param name="final">Its final place.</param>
    /// <param name="origin">The folder of the base; if this has a base itself, that base is named.</param>
    /// <param name="within">The folder within which paths are relative, so that it can be moved as a whole.</param>
    public static void Write(string folder, string final, string origin, string within)
    {
        var root = Path.GetFullPath(Of(origin));
        System.IO.File.Copy(Path.Combine(root, "config.json"), Path.Combine(folder, "config.json"), overwrite: true);
        var inside = root.StartsWith(Path.TrimEndingDirectorySeparator(Path.GetFullPath(within)) + Path.DirectorySeparatorChar,
            StringComparison.Ordinal);
        var place = inside ? Path.GetRelativePath(Path.GetFullPath(final), root).Replace('\\', '/') : root;
        AtomicFile.WriteText(Path.Combine(folder, File),
            new JsonObject { ["base"] = place, ["digest"] = Digest(root) }.ToJsonString(JsonLayout.Indented) + "\n");
    }

    /// <summary>A digest of the weights of a model's folder, of samples of large files.</summary>
    /// <param name="folder">The folder; one with a base has the base's.</param>
    public static string DigestOf(string folder) => Digest(Of(folder));

    private static string Digest(string folder) => WeightDigest.Sampled(WeightFiles.Of(folder));

    private static (string Place, string Digest) Read(string file, string folder)
    {
        var content = ModelFolder.ReadObject(file);
        if (content["base"] is JsonValue place && place.TryGetValue<string>(out var path) && path.Length > 0
            && content["digest"] is JsonValue digest && digest.TryGetValue<string>(out var text) && text.Length > 0)
            return (Path.GetFullPath(path, Path.GetFullPath(folder)), text);
        throw new InputException($"{file} is damaged: it should hold {{\"base\": \"FOLDER\", \"digest\": \"...\"}}. Restore it, or train"
            + $" the stage again.");
    }
}
