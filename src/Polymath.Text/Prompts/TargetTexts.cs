using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>
/// What a model that writes its answer is to write for each label: a text, or a rule in the templates' grammar that takes parts of the
/// example (the generation verbalizer of Ding et al. 2022). A label may have several targets, one for each mask.
/// </summary>
public sealed class TargetTexts
{
    private readonly IReadOnlyList<IReadOnlyList<Func<PromptExample, string>>> targets;

    /// <summary>Targets.</summary>
    /// <param name="texts">The targets of each label, in the labels' order.</param>
    /// <param name="areRules">Whether they are rules.</param>
    /// <exception cref="InputException">A rule is not well formed, or has a mask, a soft or a special token.</exception>
    public TargetTexts(IReadOnlyList<IReadOnlyList<string>> texts, bool areRules)
    {
        ArgumentNullException.ThrowIfNull(texts);
        targets = [.. texts.Select(label => (IReadOnlyList<Func<PromptExample, string>>)[.. label.Select(text => Target(text, areRules))])];
    }

    /// <summary>The targets of an example by its label.</summary>
    /// <param name="example">The example.</param>
    /// <exception cref="InputException">It has no label, or not what a rule asks for.</exception>
    public IReadOnlyList<string> Of(PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(example);
        return example.Label is { } label && label >= 0 && label < targets.Count
            ? [.. targets[label].Select(target => target(example))]
            : throw new InputException($"{example.Name} has the label {example.Label}; targets are there for 0 to {targets.Count - 1}.");
    }

    private static Func<PromptExample, string> Target(string text, bool isRule)
    {
        if (!isRule) return _ => text;
        var rule = PromptTemplate.Rule(text);
        return example => string.Join(" ", rule.Wrap(example).Select(piece => piece.Text));
    }
}
