using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;
using Polymath.Training.Stages;

namespace Polymath.Training;

/// <summary>
/// Reads the local sources of a recipe before anything is trained, and reports which parts of their rows would not be learned.
/// </summary>
public static class SourceCheck
{
    /// <summary>The reports, one sentence each.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="baseFolder">The folder that its paths are relative to.</param>
    /// <param name="progress">Receives the progress of reading; null for none.</param>
    /// <returns>The sentences, each once; sources on hubs and in packages are left out.</returns>
    /// <exception cref="InputException">A source cannot be read.</exception>
    public static IReadOnlyList<string> Notes(Recipe recipe, string baseFolder, CorpusProgress? progress = null)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        var corpora = new Corpora(recipe, baseFolder, new PackageCache(), progress);
        var (tokenizer, contract) = LocalText(recipe, baseFolder, corpora);
        var lines = new List<string>();
        foreach (var stage in recipe.AllStages().SelectMany(stage => stage.Parts()).Where(stage => stage.Sources.All(corpora.IsLocal)))
        {
            var data = new StageData(stage, corpora, contract);
            data.Tell(DataSplit.Train, recipe);
            if (tokenizer is not null && !stage.TrainsHead)
                data.TellRenderings(DataSplit.Train, tokenizer);
            lines.AddRange(data.Report.Lines);
        }
        return [.. lines.Distinct()];
    }

    // The tokenizer and the layout that rows are rendered by, where they are at hand.
    private static (Tokenizer? Tokenizer, TextContract Contract) LocalText(Recipe recipe, string baseFolder, Corpora corpora)
    {
        var own = new TextContract(ChatTemplate.Own, []);
        if (Materials.TextFolder(recipe) is not { } folder || HubAddress.IsAddress(folder)
            || !Directory.Exists(Path.GetFullPath(folder, Path.GetFullPath(baseFolder))))
            return (null, own);
        if ((recipe.Chat?.Convert ?? []).Any(table => recipe.Tables?.GetValueOrDefault(table) is ConversionTableSpec spec
            && spec.Files.Any(file => PackageCache.IsAddress(file) || HubAddress.IsAddress(file))))
            return (null, own);
        return Materials.OpenText(recipe, baseFolder, corpora);
    }
}
