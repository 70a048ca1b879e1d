namespace Polymath.Recipes;

/// <summary>The columns that shapes are made of, as <c>fields</c> names them beside a shape.</summary>
public static class ShapeFields
{
    /// <summary>The column of messages; behind it and a dot stand the keys of a message.</summary>
    public const string Messages = "messages";

    /// <summary>The roles that speakers may stand for.</summary>
    public static IReadOnlyList<string> Roles { get; } = ["user", "assistant", "system", "developer", "tool", "function_call"];

    /// <summary>The names that <c>fields</c> may have beside a shape.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        Messages, "messages.role", "messages.content", "system", "tools", "history", "prompt", "instruction", "input", "answer", "output",
        "chosen", "rejected", "label", "text",
    ];
}
