namespace Polymath.Recipes;

/// <summary>Checks the prompts of a stage.</summary>
/// <param name="checks">The recipe's checks.</param>
/// <param name="stage">The stage.</param>
/// <param name="prompt">Its method.</param>
/// <param name="path">The method's place.</param>
internal sealed class PromptChecks(
    Checks checks,
    StageSpec stage,
    PromptMethod prompt,
    string path)
{
    /// <summary>Adds the faults.</summary>
    internal void Run()
    {
        if (prompt.Train is PromptMethod)
            checks.Fault(At("train.kind"), "a prompt method cannot be trained by another one", "write full, freeze or lora");
        if (prompt.Template is null && checks.Sound(At("template")))
            checks.Fault(path, "'template' is missing", "add template: TEXT with {mask} where the answer is read");
        if (prompt.Rate is not null && !prompt.HasWeights && checks.Sound(At("rate")))
            checks.Fault(At("rate"), "the prompt has no weights of its own", "leave it out, or write {soft} in the template");
        if (prompt.Encoder is not null && !TemplateFields.HasSoft(prompt.Template ?? "") && checks.Sound(At("encoder"), At("template")))
            checks.Fault(At("encoder"), "the template has no soft token to encode", "write {soft} in the template, or leave it out");
        foreach (var (ask, i) in prompt.Asks().Select((ask, i) => (ask, i)))
        {
            Masks(ask.Template, ask.Verbalizer!, At(prompt.KeyOf(i)));
            Verbalizer(ask.Verbalizer!, At("verbalizer"));
        }
    }

    private string At(string key) => $"{path}.{key}";

    private void Verbalizer(VerbalizerSpec verbalizer, string at)
    {
        if (verbalizer.Bare is [] && checks.Sound($"{at}.contentFree"))
            checks.Fault($"{at}.contentFree", "the list is empty", "write contentFree: N/A, or leave it out");
        if (verbalizer.Given is not { } words || !checks.Sound(at))
            return;
        if (words.Count == 0)
            checks.Fault($"{at}.words", "there are no labels", "write {LABEL: WORD}, or leave 'words' out");
        foreach (var (label, list) in words)
        {
            if (list.Count == 0 || list.Any(word => word.Length == 0))
            {
                checks.Fault($"{at}.words.{label}",
                    $"the label '{label}' has {(list.Count == 0 ? "no" : "an empty")} word",
                    $"write {label}: WORD");
            }
        }
    }

    // What a model from a folder reads is known when it is opened; the models that a recipe makes read forward.
    private void Masks(string template, VerbalizerSpec verbalizer, string at)
    {
        if (template.Length == 0 || !checks.Sound(at)) return;
        var masks = TemplateFields.OfPrompt(template).Count(field => field == TemplateFields.Mask);
        if (verbalizer.Answers == 1 && masks != 1)
            checks.Fault(at,
                $"the template has {(masks == 0 ? "no" : $"{masks} times")} {{mask}}",
                "write {mask} once, where the answer is read");
        else if (checks.Recipe.Model is LlamaSpec or ChatGlmSpec && stage.From is null
            && template.LastIndexOf("{mask}", StringComparison.Ordinal) is >= 0 and var last
            && template[(last + "{mask}".Length)..].Trim() is { Length: > 0 } after)
            checks.Fault(at,
                $"text follows {{mask}}: \"{after}\"",
                "end with {mask}: the model reads forward, and what comes after the answer is never read");
    }
}
