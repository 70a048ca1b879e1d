using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>A row in the one form that all shapes are brought to.</summary>
/// <param name="Shape">The shape that it had.</param>
/// <param name="Fields"> As far as the shape has them: <c>messages</c> and <c>tools</c> (JSON, as OpenAI writes them), <c>chosen</c> and
/// <c>rejected</c> (the last answers as text), <c>chosenTurns</c> and <c>rejectedTurns</c> (JSON, where they are more than a text),
/// <c>label</c> and <c>text</c>. </param>
public sealed record ShapedRow(DataShape Shape, IReadOnlyDictionary<string, string> Fields);
