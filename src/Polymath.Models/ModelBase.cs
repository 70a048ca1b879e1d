using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tensors.Files;

namespace Polymath.Models;

/// <summary>
/// A model's folder without weights of its own: <c>base.json</c> says whose they are. A stage that keeps its adapter apart leaves the model
/// that it found, and that one lies
/// in its own place already.
/// </summary>
public static class ModelBase
{
    /// <summary>
    /// The file that names the base: <c>{"base": "../../01-read/model", "digest": "..."}</c>; a relative path starts from the folder that
    /// it lies in.
    /// </summary>
    public const string File = "base.json";

    /// <summary>The folder that holds a folder's weights: itself, or its base.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <exception cref="InputException">The base is not there, or is another model than it was.</exception>
    public static string Of(string folder)
    {
        var file = Path.Combine(folder, File);
        // Weights beside it are the folder's own.
        if (!System.IO.File.Exists(file) || WeightFiles.HasOwn(folder)) return folder;
        var (place, digest) = Read(file, folder);
        if (!Directory.Exists(place))
            throw new InputException($"{file} names the base {place}, which is not there: was it moved or deleted? Put it back, or write"
                + $" its new place into {File}.");
        if (System.IO.File.Exists(Path.Combine(place, File)) && !WeightFiles.HasOwn(place))
            throw new InputException($"{file} names the base {place}, which holds no weights of its own either. Write the folder that"
                + $" holds them into {File}.");
        var found = Digest(place);
        if (found == digest) return place;
        throw new InputException($"{file}: the base {place} holds other weights now than those it was written for (digest {found[..12]},"
            + $" not {digest[..Math.Min(12, digest.Length)]})."
            + " Put those back, or train the stage again.");
    }

    /// <summary>
    /// Makes a folder that takes its weights from another; the tokenizer and the layout are written beside by the caller.
    /// </summary>
    /// <param name="folder">The folder that is written.</param>
    /// <param name="final">Where it will lie when it is whole.</param>
    /// <param name="origin">The folder of the base; where that has a base itself, that one is named.</param>
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
