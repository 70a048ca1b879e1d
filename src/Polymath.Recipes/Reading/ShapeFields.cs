namespace Polymath.Recipes;

/// <summary>The columns of shapes, under the names that <c>fields</c> uses with a shape.</summary>
public static class ShapeFields
{
    /// <summary>The column of messages. A dot and a key of a message may follow it.</summary>
    public const string Messages = "messages";

    /// <summary>The roles that speakers may stand for.</summary>
    public static IReadOnlyList<string> Roles { get; } = ["user", "assistant", "system", "developer", "tool", "function_call"];

    /// <summary>The names that <c>fields</c> may have with a shape.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        Messages, "messages.role", "messages.content", "system", "tools", "history", "prompt", "instruction", "input", "answer", "output",
        "chosen", "rejected", "margin", "reference", "completions", "labels", "label", "text",
    ];
}
