namespace Polymath.Text.Templates;

/// <summary>The tokens that a template puts after answers.</summary>
/// <param name="Last">The token after an answer that ends the conversation; null for none.</param>
/// <param name="Next">The token after an answer that the user replies to: the same, or the mark of the next speaker.</param>
public readonly record struct AnswerEnds(string? Last, string? Next)
{
    /// <summary>The tokens that end an answer, each once: the last one, or the next speaker's mark when nothing else ends it.</summary>
    public IEnumerable<string> Names => (Last ?? Next) is { } name ? [name] : [];
}
