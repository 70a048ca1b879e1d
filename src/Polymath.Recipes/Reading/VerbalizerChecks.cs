namespace Polymath.Recipes;

/// <summary>Checks the verbalizer of a prompt.</summary>
/// <param name="checks">The recipe's checks.</param>
/// <param name="verbalizer">The verbalizer.</param>
/// <param name="path">Its place.</param>
internal sealed class VerbalizerChecks(Checks checks, VerbalizerSpec verbalizer, string path)
{
    /// <summary>Adds the faults.</summary>
    internal void Run()
    {
        Calibration();
        if (!checks.Sound(path)) return;
        if (verbalizer is KnowledgeSpec { Table: null, File: null, Words: null })
            checks.Fault(
                path,
                "there is no knowledge: neither a table, nor a file, nor words",
                "add table: NAME of a table of the kind wordnet or synonyms, file: FILE, or words: {LABEL: [WORD, WORD]}");
        if (verbalizer is KnowledgeSpec { File: { } file } && (HubAddress.IsAddress(file) || PackageAddress.TryParse(file, out _, out _)))
            checks.Fault($"{path}.file", "the file with words is not on this machine", "name a local file: .txt, .csv, .json or .jsonl");
        if (verbalizer is KnowledgeSpec { Table: { } table } && checks.Recipe.Tables?.GetValueOrDefault(table) is { } other
            && other is not (WordNetTableSpec or SynonymTableSpec))
            checks.Fault($"{path}.table", $"the table '{table}' knows no related words", "name one of the kind wordnet or synonyms");
        if (verbalizer.Given is not { } words) return;
        var key = verbalizer is TextsSpec ? "texts" : "words";
        if (words.Count == 0)
            checks.Fault($"{path}.{key}", "there are no labels", $"write {{LABEL: WORD}}, or leave '{key}' out");
        foreach (var (label, list) in words)
        {
            if (list.Count == 0 || list.Any(word => word.Length == 0))
            {
                checks.Fault($"{path}.{key}.{label}",
                    $"the label '{label}' has {(list.Count == 0 ? "no" : "an empty")} word",
                    $"write {label}: WORD");
            }
            else if (verbalizer is RulesSpec && list.Count != verbalizer.Answers)
                checks.Fault(
                    $"{path}.words.{label}",
                    $"the label '{label}' has {list.Count} words, and the first label has {verbalizer.Answers}",
                    "write a word for each {mask} of the template");
        }
    }

    private void Calibration()
    {
        if (verbalizer.Bare is [] && checks.Sound($"{path}.contentFree"))
            checks.Fault($"{path}.contentFree", "the list is empty", "write contentFree: N/A, or leave it out");
        if (verbalizer is WordsSpec { ContentFree: not null, Calibrate: not null })
            checks.Fault($"{path}.contentFree", "'contentFree' and 'calibrate' are both given", "keep one of the two");
        var at = $"{path}.calibrate";
        if (!checks.Sound(at)) return;
        if (verbalizer is not WordsSpec { ContentFree: not null } && verbalizer.Calibration is ContentFreeSpec { Texts: [] })
            checks.Fault($"{at}.texts", "the list is empty", "write texts: N/A");
        if (verbalizer.Calibration is not DomainSpec { Text: { } text }) return;
        var named = TemplateFields.OfPrompt(text);
        if (named.FirstOrDefault(field => field != TemplateFields.Mask) is { } field)
            checks.Fault($"{at}.text", $"the domain's text asks for the field '{field}', and it is asked without a row", "write no fields");
        if (named.Count(one => one == TemplateFields.Mask) != 1)
            checks.Fault($"{at}.text", "the domain's text has no {mask}, or several", "write {mask} once, where the answer is read");
        if (TemplateFields.HasSoft(text))
            checks.Fault($"{at}.text", "the domain's text has a soft token, which nothing trains", "write words");
    }
}
