using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Finds the tokenizer in a model's folder.</summary>
internal static class TokenizerFolder
{
    /// <summary>Reads the tokenizer of a folder, or of a file.</summary>
    public static Tokenizer Load(string folderOrFile)
    {
        var file = Directory.Exists(folderOrFile) ? Path.Combine(folderOrFile, Tokenizer.FileName) : folderOrFile;
        if (!File.Exists(file))
            throw new InputException($"no {Tokenizer.FileName} at {folderOrFile}. Name a folder that holds one, as 'save_pretrained' of a fast tokenizer writes it.");
        return TokenizerReader.Read(file, JsonPart.ReadFile(file));
    }
}
