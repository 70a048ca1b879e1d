namespace Polymath.Recipes;

/// <summary>Checks a prompt whose labels are scored by the probability of the text behind their words.</summary>
/// <param name="checks">The recipe's checks.</param>
/// <param name="ask">The prompt.</param>
/// <param name="template">The template's place.</param>
/// <param name="verbalizer">The verbalizer's place.</param>
internal sealed class ChannelChecks(
    Checks checks,
    AskSpec ask,
    string template,
    string verbalizer)
{
    /// <summary>Adds the faults.</summary>
    internal void Run()
    {
        var names = TemplateFields.OfPrompt(ask.Template);
        if (names.Count(name => name == TemplateFields.Mask) == 1 && names[^1] == TemplateFields.Mask && checks.Sound(template))
            checks.Fault(
                template,
                "no field follows {mask}, and score: channel scores the text behind the label's words",
                "write the text last, such as \"{mask}: {text}\", or leave out score");
        if (!checks.Sound(verbalizer)) return;
        if (ask.Verbalizer is not (WordsSpec or OneToOneSpec))
            checks.Fault(
                verbalizer,
                $"score: channel writes words of a label before the text, and a verbalizer of the kind {ask.Verbalizer!.Kind} has none",
                "write words: {LABEL: [WORD, WORD]}; a word may be several ones there");
        else if (ask.Verbalizer is WordsSpec { Read: not WordReading.First } or OneToOneSpec { Read: not WordReading.First })
            checks.Fault($"{verbalizer}.read", "score: channel writes words whole and reads none of them", "leave it out");
        else if (ask.Verbalizer.Calibration is not null)
            checks.Fault(
                $"{verbalizer}.{(ask.Verbalizer is WordsSpec { ContentFree: not null } ? "contentFree" : "calibrate")}",
                "a calibration divides the probabilities of words, and score: channel takes every label as equally probable",
                "leave it out");
    }
}
