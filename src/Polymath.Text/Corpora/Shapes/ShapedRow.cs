using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>A row in the one form to which all shapes are converted.</summary>
/// <param name="Shape">The shape that it had.</param>
/// <param name="Fields">If the shape has them: <c>messages</c> and <c>tools</c> (JSON in OpenAI's form), <c>chosen</c> and <c>rejected</c>
/// (the last answers as text), <c>chosenTurns</c> and <c>rejectedTurns</c> (JSON, when they are more than a text), <c>label</c> and
/// <c>text</c>.</param>
public sealed record ShapedRow(DataShape Shape, IReadOnlyDictionary<string, string> Fields);
