using System.Runtime.CompilerServices;
using Polymath.Recipes;

namespace Polymath.Text.Templates.Jinja;

/// <summary>The limits of a template; a template that exceeds them is refused.</summary>
/// <param name="Steps">The most steps of work: expressions evaluated, items gone through, characters copied (32 to a step).</param>
/// <param name="Characters">The most characters of the final text and of any intermediate text.</param>
/// <param name="Calls">How deep macros and recursive loops may call each other.</param>
public sealed record JinjaLimits(long Steps = 20_000_000, int Characters = 50_000_000, int Calls = 100);

/// <summary>A template is wrong, refuses a conversation, or exceeds its limits.</summary>
/// <param name="message">The whole message.</param>
/// <param name="inner">What caused it.</param>
public sealed class JinjaException(string message, Exception? inner = null) : InputException(message, inner);

/// <summary>
/// A fault inside a template, before its place is known: statements add the line, and the caller adds the template's name.
/// </summary>
/// <param name="problem">What is wrong, as a clause without a full stop.</param>
/// <param name="hint">What to do.</param>
internal sealed class JinjaFault(string problem, string? hint = null) : Exception(problem)
{
    /// <summary>What to do about it.</summary>
    public string Hint { get; } = hint ?? "Correct the template, or choose another one by name";

    /// <summary>The line of the template, from 1; 0 while it is unknown.</summary>
    public int Line { get; set; }
}

/// <summary>Counts the work of a rendering and stops it at the limits.</summary>
/// <param name="limits">The limits.</param>
internal sealed class Meter(JinjaLimits limits)
{
    private const int CharactersToAStep = 32;
    private long steps;
    private int calls;

    /// <summary>Counts some work.</summary>
    public void Work(long steps = 1)
    {
        this.steps += steps;
        if (this.steps > limits.Steps || steps < 0)
            throw new JinjaFault(
                $"the template takes more than {limits.Steps:N0} steps",
                "Is there a loop that grows? Simplify the template");
    }

    /// <summary>Refuses a text that is too long.</summary>
    public void Limit(long length)
    {
        if (length > limits.Characters)
            throw new JinjaFault(
                $"the template makes a text of more than {limits.Characters:N0} characters",
                "Shorten the conversation, or correct the template");
    }

    /// <summary>Counts a text that is about to be made.</summary>
    public void Text(long length)
    {
        Limit(length);
        Work(1 + length / CharactersToAStep);
    }

    /// <summary>Counts a text that was made.</summary>
    public string Made(string text)
    {
        Text(text.Length);
        return text;
    }

    /// <summary>Enters a macro or a recursive loop.</summary>
    public void Enter()
    {
        if (++calls > limits.Calls)
            throw new JinjaFault($"macros call each other more than {limits.Calls} deep", "End the recursion");
        Stack();
    }

    /// <summary>Leaves it again.</summary>
    public void Leave() => calls--;

    /// <summary>Refuses nesting that is too deep.</summary>
    public static void Stack()
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new JinjaFault("the template or a value is nested too deep", "Flatten it");
    }
}
