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
        if (!checks.Sound(At("template"), At("prompts"))) return;
        if (prompt is { Template: not null, Prompts: not null })
            checks.Fault(At("prompts"), "'template' and 'prompts' are both given", "write the template in prompts, too, or keep one");
        else if (prompt.Template is null && prompt.Prompts is null)
            checks.Fault(path, "'template' is missing", "add template: TEXT with {mask} where the answer is read, or prompts: [TEXT]");
        else if (prompt.Prompts is [])
            checks.Fault(At("prompts"), "the list is empty", "write prompts: [TEXT, TEXT], or template: TEXT");
        else
        {
            Asks();
            if (prompt.Chain is not null || prompt.Rules is not null)
                new ChainChecks(
                    checks,
                    stage,
                    prompt,
                    path,
                    Masks).Run();
        }
    }

    private void Spans(SpansSpec spans)
    {
        if (stage.Objective is TaskSpec task && task.Label == spans.Words && checks.Sound(At("spans.words")))
            checks.Fault(
                At("spans.words"),
                $"'{spans.Words}' is the stage's label, too",
                "name the field with the words, and the one with their tags as the stage's label");
        foreach (var (ask, i) in prompt.Asks().Select((ask, i) => (ask, i)))
            if (checks.Sound(At(prompt.KeyOf(i))) && !TemplateFields.OfPrompt(ask.Template).Contains(SpansSpec.Span))
                checks.Fault(
                    At(prompt.KeyOf(i)),
                    "the template does not say which span is asked for",
                    $"write {{{SpansSpec.Span}}}, such as \"{{{spans.Words}}} {{{SpansSpec.Span}}} is a {{mask}}\"");
    }

    private void Asks()
    {
        if (prompt.Spans is { } spans) Spans(spans);
        if (prompt.Rate is not null && !prompt.HasWeights && checks.Sound(At("rate")))
            checks.Fault(At("rate"), "the prompt has no weights of its own", "leave it out, or write {soft} in the template");
        if (prompt.Together != PromptsTogether.Mean && prompt.Prompts is not { Count: > 1 } && checks.Sound(At("together")))
            checks.Fault(At("together"), "there is one prompt, whose answer is the answer", "leave it out, or write prompts: [TEXT, TEXT]");
        if (prompt.Demonstrations is { } shown && shown.From < shown.Each * shown.Contexts && checks.Sound(At("demonstrations.from")))
            checks.Fault(
                At("demonstrations.from"),
                $"{shown.Contexts} different sets of {shown.Each} need {shown.Each * shown.Contexts} rows of a label; from is {shown.From}",
                $"write {shown.Each * shown.Contexts} or more, or fewer contexts");
        var asks = prompt.Asks();
        if (prompt.Together == PromptsTogether.Learned && asks.Any(ask => ask.Score == PromptScore.Channel) && checks.Sound(At("together")))
            checks.Fault(
                At("together"),
                "weights of prompts are learned by the labels' loss, and a prompt with score: channel learns the texts'",
                "write mean, accuracy or majority");
        if (prompt.Encoder is not null && checks.Sound(At("encoder")) && !asks.Any(ask => TemplateFields.HasSoft(ask.Template)))
            checks.Fault(At("encoder"), "the template has no soft token to encode", "write {soft} in the template, or leave it out");
        for (var i = 0; i < asks.Count; i++)
        {
            var own = prompt.Prompts?[i].Verbalizer is null ? At("verbalizer") : At($"prompts[{i}].verbalizer");
            Masks(asks[i], At(prompt.KeyOf(i)));
            // The method's own verbalizer is looked at once.
            if (i == 0 || prompt.Prompts?[i].Verbalizer is not null) new VerbalizerChecks(checks, asks[i].Verbalizer!, own).Run();
            if (asks[i] is { Encoder: not null } && prompt.Prompts?[i].Encoder is not null && !TemplateFields.HasSoft(asks[i].Template))
                checks.Fault(
                    At($"prompts[{i}].encoder"), "the template has no soft token to encode", "write {soft} in it, or leave it out");
            if (asks[i].Score == PromptScore.Channel) new ChannelChecks(checks, asks[i], At(prompt.KeyOf(i)), own).Run();
            if (asks[i].Score == PromptScore.Channel && prompt is { Spans: not null } or { Chain: not null } && checks.Sound(At("score")))
                checks.Fault(
                    At("score"),
                    "spans and chains read answers at {mask}, and score: channel scores the text behind the label's words",
                    "leave out score");
            if (prompt.Demonstrations is not null && asks[i].Verbalizer is { Calibration: not null } and not KnowledgeSpec)
                checks.Fault(
                    own,
                    "a calibrated prompt is asked without demonstrations, so its figures would be those of another prompt",
                    "leave out demonstrations, or the calibration");
            if (prompt.Demonstrations is not null && asks[i].Verbalizer is WordSearchSpec)
                checks.Fault(
                    own,
                    "a demonstration shows a label's word, and the search finds the words only from prompts without demonstrations",
                    "give the words: verbalizer: {words: {LABEL: WORD}}, or leave out demonstrations");
        }
    }

    private string At(string key) => $"{path}.{key}";

    // What a model from a folder reads is known when it is opened; the models that a recipe makes read forward.
    private void Masks(AskSpec ask, string at)
    {
        if (!checks.Sound(at)) return;
        var (template, verbalizer) = (ask.Template, ask.Verbalizer!);
        var masks = TemplateFields.OfPrompt(template).Count(field => field == TemplateFields.Mask);
        if (verbalizer.Answers == 1 && masks != 1)
            checks.Fault(at,
                $"the template has {(masks == 0 ? "no" : $"{masks} times")} {{mask}}",
                "write {mask} once, where the answer is read");
        else if (masks != verbalizer.Answers)
            checks.Fault(
                at, $"the template has {masks} {{mask}}, and each label has {verbalizer.Answers} words", "write a {mask} for each");
        else if (ask.Score == PromptScore.Direct && checks.Recipe.Model is LlamaSpec or ChatGlmSpec && stage.From is null
            && template.LastIndexOf("{mask}", StringComparison.Ordinal) is >= 0 and var last
            && template[(last + "{mask}".Length)..].Trim() is { Length: > 0 } after)
            checks.Fault(at,
                $"text follows {{mask}}: \"{after}\"",
                "end with {mask}: the model reads forward, and what comes after the answer is never read; or score the text there by "
                + "score: channel");
    }
}
