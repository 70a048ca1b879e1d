namespace Polymath.Models;

/// <summary>The special tokens that models of a family read, for a fresh tokenizer.</summary>
/// <param name="Tokens">The tokens, in the order of their numbers.</param>
/// <param name="Open">The token before a text; null for none.</param>
/// <param name="Close">The token behind a text.</param>
public sealed record FreshMarks(IReadOnlyList<string> Tokens, string? Open, string Close);
