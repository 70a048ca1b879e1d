using System.CommandLine;
using Polymath.Recipes;

namespace Polymath.Cli;

/// <summary>
/// Protects existing files at the output of a verb, unless the user asks to replace them; the same option for every verb that writes.
/// </summary>
internal sealed class Overwriting
{
    private const int Shown = 3;

    // The only sub-folder that belongs to a model's folder.
    private const string OwnFolder = "additional_chat_templates";

    private readonly Option<bool> overwrite = new("--overwrite") { Description = "Replaces the earlier output of the verb." };

    internal void AddTo(Command command) => command.Add(overwrite);

    /// <summary>
    /// The folder to write. A folder with other files than an earlier output is always refused, because they would be lost.
    /// </summary>
    /// <param name="parsed">The command.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="mark">The file that marks an earlier output.</param>
    internal string Folder(ParseResult parsed, string folder, string mark)
    {
        if (File.Exists(folder)) throw new InputException($"--output {folder} is a file, but a folder is written. Name another place.");
        if (!Directory.Exists(folder)) return folder;
        var names = Directory.EnumerateFileSystemEntries(folder)
            .Select(entry => Path.GetFileName(entry)!).Order(StringComparer.Ordinal).ToList();
        if (names.Count == 0) return folder;
        if (!File.Exists(Path.Combine(folder, mark))
            || Directory.EnumerateDirectories(folder).Any(inner => Path.GetFileName(inner) != OwnFolder))
            throw new InputException($"--output {folder} holds other files, such as "
                + $"{string.Join(", ", names.Except([mark]).Take(Shown))}, which would be lost. Name a new folder, such as "
                + $"{Path.Combine(folder, "new")}.");
        return parsed.GetValue(overwrite)
            ? folder
            : throw new InputException($"--output {folder} holds an earlier output. Name another folder, or add --overwrite to replace it "
                + "and all its files.");
    }

    /// <summary>The file to write.</summary>
    /// <param name="parsed">The command.</param>
    /// <param name="option">The option that names it.</param>
    /// <param name="file">The file.</param>
    internal string OneFile(ParseResult parsed, string option, string file)
    {
        if (Directory.Exists(file))
            throw new InputException($"{option} {file} is a folder; name a file, such as {Path.Combine(file, "model.gguf")}.");
        return !File.Exists(file) || parsed.GetValue(overwrite)
            ? file
            : throw new InputException($"{file} exists. Name another place with {option}, or add --overwrite to replace it.");
    }

    /// <summary>A file to write into a folder, whose other files are kept.</summary>
    /// <param name="parsed">The command.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="name">The file's name.</param>
    internal string Inside(ParseResult parsed, string folder, string name)
    {
        if (File.Exists(folder)) throw new InputException($"--output {folder} is a file, but a folder is written. Name another place.");
        return OneFile(parsed, "--output", Path.Combine(folder, name));
    }
}
