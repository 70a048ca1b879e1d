using Polymath.Models;
using Polymath.Tests.Text;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Tests.Cli;

/// <summary>Small models of a family with a tokenizer that has the tokens its prompts need.</summary>
internal static class PromptModels
{
    private static Tokenizer Words() => WordPieceTrainer.Train(
        ["a b it was soft hard mild today . 0 1 2 3 4"],
        90,
        0,
        [
            "[UNK]",
            "[MASK]",
            "<extra_id_0>",
            "<extra_id_1>",
            .. ChatTemplate.Specials,
        ]);

    /// <summary>A model's folder.</summary>
    public static string Save(ScratchFolder folder, string family)
    {
        var place = folder.At(family);
        Directory.CreateDirectory(place);
        foreach (var file in Directory.GetFiles(TextFixtures.At("models", family)))
            File.Copy(file, Path.Combine(place, Path.GetFileName(file)), overwrite: true);
        Words().Save(place);
        return place;
    }

    /// <summary>An open model.</summary>
    public static TextModel Open(string family) =>
        new(ModelFolder.Open(TextFixtures.At("models", family)), Words(), new TextContract(ChatTemplate.Own, []));
}
