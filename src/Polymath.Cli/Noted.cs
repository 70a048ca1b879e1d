using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Text.Templates;

namespace Polymath.Cli;

/// <summary>Opens models and prints notes where the reading differs from what their folders seem to say.</summary>
internal static class Noted
{
    /// <summary>Opens a model's folder; see <see cref="ModelFolder.Open"/>.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="allowed">Names of further weights that the files may have.</param>
    internal static LanguageModel Open(string folder, IReadOnlyCollection<string>? allowed = null) =>
        Tell(ModelFolder.Open(folder, allowed));

    /// <summary>Opens a model with a fresh head over labels; see <see cref="ModelFolder.OpenWithHead"/>.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="head">The task of the head, and the labels' names.</param>
    /// <param name="seed">The seed of the head's weights.</param>
    /// <param name="allowed">Names of further weights that the files may have.</param>
    internal static LanguageModel OpenWithHead(
        string folder,
        (LabelTask Task, IReadOnlyList<string> Labels) head,
        long seed,
        IReadOnlyCollection<string> allowed) =>
        Tell(ModelFolder.OpenWithHead(
            folder,
            head.Task,
            head.Labels,
            seed,
            allowed));

    /// <summary>Opens a model with its tokenizer; see <see cref="TextModel.Open"/>.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="allowed">Names of further weights that the files may have.</param>
    /// <param name="layout">Changes the layout of conversations; null keeps the folder's own.</param>
    internal static TextModel OpenText(
        string folder, IReadOnlyCollection<string>? allowed, Func<TextContract, TextContract>? layout = null)
    {
        var text = TextModel.Open(folder, allowed, layout);
        Tell(text.Model);
        return text;
    }

    /// <summary>Writes one note to the error output.</summary>
    /// <param name="text">The note.</param>
    internal static void Tell(string text) => Console.Error.WriteLine("polymath: " + text);

    private static LanguageModel Tell(LanguageModel model)
    {
        foreach (var note in model.Notes) Tell(note);
        return model;
    }
}
