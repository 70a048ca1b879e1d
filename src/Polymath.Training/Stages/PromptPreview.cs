using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Hubs;
using Polymath.Text.Prompts;
using Polymath.Tuning.Prompts;

namespace Polymath.Training.Stages;

/// <summary>A token of a filled prompt, for people.</summary>
/// <param name="Kind">What it is: <c>opening</c>, <c>shown</c> in a demonstration, <c>written</c> by the template's author, <c>filled</c>
/// from a field, <c>cut</c>, the <c>answer</c>'s place, a <c>soft</c> token with its number and the token it starts from, or
/// <c>ending</c>.</param>
/// <param name="Token">The token; <c>{mask}</c> for the place of an answer that has none, since a decoder reads it after the token
/// before.</param>
/// <param name="Id">Its id; null where there is none.</param>
public sealed record PreviewToken(string Kind, string Token, int? Id);

/// <summary>An example as a stage's prompt asks for its label, token by token.</summary>
/// <param name="Row">The example's name.</param>
/// <param name="Label">Its label.</param>
/// <param name="Most">The most tokens of a row.</param>
/// <param name="Tokens">The tokens, with those that are cut.</param>
/// <param name="Words">The words of each label with their tokens, by label.</param>
public sealed record PromptPreview(
    string Row,
    string Label,
    int Most,
    IReadOnlyList<PreviewToken> Tokens,
    IReadOnlyDictionary<string, IReadOnlyList<string>> Words)
{
    private const string Cut = "cut", Soft = "soft";

    /// <summary>How many tokens the model reads.</summary>
    public int Length => Tokens.Count(token => (token.Id is not null && token.Kind != Cut) || token.Kind == Soft);

    /// <summary>Opens a recipe's data and the stage's model, and fills the prompt with one training row.</summary>
    /// <param name="reading">The recipe, read without faults.</param>
    /// <param name="name">The stage.</param>
    /// <param name="at">The number of the row, and of the prompt where there are several, both from 1.</param>
    /// <param name="observer">Receives the progress.</param>
    /// <param name="hub">Fetches files from hubs.</param>
    /// <exception cref="InputException">The stage asks for no label by a prompt, or there is no such row.</exception>
    public static PromptPreview Of(
        RecipeReading reading,
        string name,
        (int Row, int Prompt) at,
        RunObserver observer,
        Hub hub)
    {
        ArgumentNullException.ThrowIfNull(reading);
        var recipe = reading.OrThrow();
        MethodChecks.Check(recipe);
        List<StageSpec> stages = [.. recipe.Stages.SelectMany(stage => stage.Parts())];
        if (stages.Find(stage => stage.Name == name) is not { } asking)
            throw new InputException($"--stage is {name}, but the recipe has no such stage. "
                + $"{Nearest.Hint(name, [.. stages.Select(stage => stage.Name)], "stages")}.");
        if (asking is not { Objective: TaskSpec, Method: PromptMethod })
            throw new InputException($"--stage is {name}, but it asks for no label by a prompt. Name a stage of the kind task with "
                + "method: {kind: prompt}.");
        var scratch = Directory.CreateTempSubdirectory("polymath-prompt-");
        try
        {
            using var materials = Materials.Gather(
                recipe,
                reading.BaseFolder,
                Path.Combine(scratch.FullName, "tokenizer"),
                observer,
                hub);
            using var model = materials.NewModel(recipe.Stages.First(stage => stage.Parts().Any(part => part.Name == name)));
            return Of(materials, asking, model, at);
        }
        finally
        {
            scratch.Delete(recursive: true);
        }
    }

    private static PromptPreview Of(Materials materials, StageSpec stage, TextModel model, (int Row, int Prompt) at)
    {
        var data = materials.Data(stage.Name);
        var rows = data.Rows(DataSplit.Train);
        if (at.Row < 1 || at.Row > rows.Count)
            throw new InputException($"--row is {at.Row}, but stage {stage.Name} has {rows.Count:N0} training rows. Write 1 to "
                + $"{rows.Count}.");
        var asked = materials.Asked.Begin(stage, model);
        if (at.Prompt < 1 || at.Prompt > asked.Task.Prompts.Count)
            throw new InputException($"--prompt is {at.Prompt}, but stage {stage.Name} asks {asked.Task.Prompts.Count} prompts. Write 1 to "
                + $"{asked.Task.Prompts.Count}.");
        var row = rows[at.Row - 1];
        var most = Math.Min(materials.LengthOf(stage), model.Model.Sizes.ContextLength);
        var parts = asked.Parts(
            at.Prompt - 1,
            row.Name,
            Known(row, asked, model, most),
            most);
        string Spelled(string word, IReadOnlyList<int> ids) => $"{word} = {string.Join(' ', ids.Select(model.Tokenizer.TokenOf))}";
        return new PromptPreview(
            row.Name,
            row.Fields.GetValueOrDefault(asked.Task.Label, ""),
            most,
            [.. parts.SelectMany((part, i) => Shown(part, i, model))],
            asked.Task.LastLabels.Zip(asked.WordsOf(at.Prompt - 1)).ToDictionary(
                pair => pair.First, pair => (IReadOnlyList<string>)[.. pair.Second.Select(word => Spelled(word.Word, word.Ids))]));
    }

    // A chain's last question has the answers to the others.
    private static IReadOnlyDictionary<string, string> Known(
        Row row,
        AskedTask asked,
        TextModel model,
        int most)
    {
        if (asked.Chain is null) return row.Fields;
        using var on = asked.On(model.Model);
        return asked.Chain.Filled(model.Model, [new ChainText(row.Name, row.Fields)], most, given: true)[0].Fields;
    }

    private static IEnumerable<PreviewToken> Shown(PromptPart part, int at, TextModel model)
    {
        string Token(int id) => id < model.Model.Tokens.InlineStart ? model.Tokenizer.TokenOf(id) : "{soft}";
        var kind = part.Piece?.Kind switch
        {
            null when at == 1 => "shown",
            null => at == 0 ? "opening" : "ending",
            PieceKind.Given => "filled",
            PieceKind.Answer => "answer",
            PieceKind.Soft => Soft,
            _ => "written",
        };
        if (part.Piece is { Kind: PieceKind.Soft } soft)
            return [new PreviewToken(kind, $"{{soft {soft.SoftId}{(soft.Text.Length > 0 ? ": " : "")}{soft.Text}}}", null)];
        return part is { Piece.Kind: PieceKind.Answer, Ids.Length: 0 }
            ? [new PreviewToken(kind, "{mask}", null)]
            : part.Ids.Select((id, i) => new PreviewToken(part.IsCut(i) ? Cut : kind, Token(id), id));
    }
}
