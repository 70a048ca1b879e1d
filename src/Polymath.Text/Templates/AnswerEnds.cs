namespace Polymath.Text.Templates;

/// <summary>The tokens that a template puts after answers.</summary>
/// <param name="Last">The token after an answer that ends the conversation; null for none.</param>
/// <param name="Next">The token after an answer that the user replies to: the same, or the mark of the next speaker.</param>
public readonly record struct AnswerEnds(string? Last, string? Next)
{
    /// <summary>
    /// The tokens that end an answer, each once: the one behind a last answer, and the one behind an earlier answer, which may be the next
    /// speaker's mark.
    /// </summary>
    public IEnumerable<string> Names => new[] { Last, Next }.OfType<string>().Distinct();
}
