namespace Polymath.Recipes;

/// <summary>Checks a chain of questions, and the rules over their answers.</summary>
/// <param name="checks">The recipe's checks.</param>
/// <param name="stage">The stage.</param>
/// <param name="prompt">Its method, with a chain or rules.</param>
/// <param name="path">The method's place.</param>
/// <param name="masks">Checks the masks of a prompt.</param>
internal sealed class ChainChecks(
    Checks checks,
    StageSpec stage,
    PromptMethod prompt,
    string path,
    Action<AskSpec, string> masks)
{
    /// <summary>Adds the faults.</summary>
    internal void Run()
    {
        if (!checks.Sound(At("chain"))) return;
        if (prompt.Chain is not { Count: > 0 } chain)
        {
            checks.Fault(
                prompt.Chain is null ? At("rules") : At("chain"),
                prompt.Chain is null ? "rules join the answers of a chain of questions, and there is none" : "the list is empty",
                "add chain: [{name: TEXT, template: TEXT, verbalizer: {words: {ANSWER: WORD}}}]");
            return;
        }
        Together();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < chain.Count; i++)
        {
            if (chain[i] is not { Name: not null, Template: not null } question) continue;
            Name(question, seen);
            Asked(question);
            if (prompt.Rules is null) Used(question, [.. chain.Skip(i + 1).Select(later => later.Template), prompt.Template ?? ""]);
            foreach (var early in TemplateFields.OfPrompt(question.Template)
                .Where(field => chain.Skip(i).Any(later => later.Name == field)).Distinct())
                checks.Fault(
                    $"{checks.PathOf(question)}.template",
                    $"'{early}' is not answered before this question",
                    "name the answers of earlier questions only");
        }
        if (prompt.Rules is { } rules) Rules(chain, rules);
    }

    private string At(string key) => $"{path}.{key}";

    private void Together()
    {
        foreach (var (key, there) in new[]
        {
            ("spans", prompt.Spans is not null),
            ("prompts", prompt.Prompts is not null),
            ("demonstrations", prompt.Demonstrations is not null),
        })
            if (there)
                checks.Fault(At(key), $"a chain asks one question after the other, and not with {key}", $"leave out {key}, or the chain");
        if (Looks(prompt.Asks()[0].Verbalizer!) is { } kind && checks.Sound(At("verbalizer")))
            checks.Fault(At("verbalizer"), Looking(kind), "write verbalizer: {words: {LABEL: WORD}}");
    }

    private static string Looking(string kind) =>
        $"a verbalizer of the kind {kind} looks at training rows before the first step, and a chain has its answers only then";

    private static string? Looks(VerbalizerSpec verbalizer) => verbalizer switch
    {
        KnowledgeSpec or WordSearchSpec or PrototypesSpec => verbalizer.Kind,
        { Calibration: ContextualSpec } => "words that is calibrated contextually",
        _ => null,
    };

    private void Name(QuestionSpec question, HashSet<string> seen)
    {
        var at = $"{checks.PathOf(question)}.name";
        if (!checks.Sound(at)) return;
        var name = question.Name;
        if (TemplateFields.OfPrompt($"{{{name}}}") is not [var field] || field != name || name == TemplateFields.Mask)
            checks.Fault(at, $"'{name}' cannot stand in a template as {{{name}}}", "write a word, such as topic");
        else if (!seen.Add(name))
            checks.Fault(at, $"another question is named '{name}', too", "give each question a name of its own");
        else if ((stage.Objective as TaskSpec)?.Label == name)
            checks.Fault(at, $"'{name}' is the stage's label, which the last question asks for", "choose another name");
    }

    private void Asked(QuestionSpec question)
    {
        var at = checks.PathOf(question);
        if (question is { Tokens: not null, Verbalizer: not null })
            checks.Fault($"{at}.tokens", "'tokens' and 'verbalizer' are both given", "keep tokens for an answer that is written");
        else if (question is { Tokens: null, Verbalizer: null } && prompt.Rules is null)
            checks.Fault(
                at,
                "nothing says how it is answered",
                "add verbalizer: {words: {ANSWER: WORD}}, or tokens: NUMBER for a text that is written");
        masks(new AskSpec(question.Template, question.Read), $"{at}.template");
        if (question.Verbalizer is not { } read) return;
        if (Looks(read) is { } kind)
            checks.Fault($"{at}.verbalizer", Looking(kind), "write verbalizer: {words: {ANSWER: WORD}}");
        else if (read.Given is not { Count: > 1 } && prompt.Rules is null)
            checks.Fault(
                $"{at}.verbalizer",
                $"its answers are those that have words, and there {(read.Given is { Count: 1 } ? "is one" : "are none")}",
                "write words: {ANSWER: WORD, ANSWER: WORD}");
        new VerbalizerChecks(checks, read, $"{at}.verbalizer").Run();
    }

    private void Used(QuestionSpec question, IReadOnlyList<string> later)
    {
        if (!later.Any(template => TemplateFields.OfPrompt(template).Contains(question.Name)))
            checks.Fault(
                checks.PathOf(question),
                $"no later template has the answer '{question.Name}'",
                $"write {{{question.Name}}} in one, or leave the question out");
    }

    // A label is what its answers say together, so every question has answers to choose from.
    private void Rules(IReadOnlyList<QuestionSpec> chain, IReadOnlyDictionary<string, IReadOnlyList<string>> rules)
    {
        if (!checks.Sound(At("rules"))) return;
        foreach (var question in chain)
        {
            if (question.Tokens is not null)
                checks.Fault(
                    $"{checks.PathOf(question)}.tokens",
                    "rules choose among answers, and this one is written freely",
                    "write a verbalizer");
            if (question.Answer is not null)
                checks.Fault($"{checks.PathOf(question)}.answer", "the rules say the right answers of each label", "leave it out");
        }
        List<VerbalizerSpec> reads = [.. chain.Select(question => question.Read), prompt.Asks()[0].Verbalizer!];
        foreach (var (label, answers) in rules)
        {
            if (answers.Count != reads.Count)
            {
                checks.Fault(
                    At($"rules.{label}"),
                    $"'{label}' has {answers.Count} answers, and {reads.Count} questions are asked",
                    "write an answer to each question of the chain, then one to the template");
                continue;
            }
            for (var i = 0; i < answers.Count; i++)
                if (reads[i].Given is { } words && !words.ContainsKey(answers[i]))
                    checks.Fault(At($"rules.{label}"), $"'{answers[i]}' is no answer to question {i + 1}", Nearest.Hint(
                        answers[i], [.. words.Keys], "answers"));
        }
        if (rules.Values.Select(answers => string.Join('\n', answers)).Distinct().Count() < rules.Count)
            checks.Fault(At("rules"), "two labels have the same answers", "let them differ in one");
    }
}
