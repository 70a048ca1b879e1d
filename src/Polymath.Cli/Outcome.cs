using System.CommandLine.Parsing;
using Polymath.Recipes;

namespace Polymath.Cli;

/// <summary>How a command ends: an exit code, and one message when something is wrong.</summary>
internal static class Outcome
{
    internal const int Done = 0, Failed = 1, BadInput = 2, Interrupted = 130;

    /// <summary>
    /// Runs a command and turns exceptions into a message and an exit code. A user sees a stack trace only when POLYMATH_TRACE is set.
    /// </summary>
    internal static int Of(Func<int> command)
    {
        try
        {
            return command();
        }
        catch (InputException e)
        {
            return Tell(e, BadInput);
        }
        catch (RunFailedException e)
        {
            return Tell(e, Failed);
        }
        catch (OperationCanceledException e)
        {
            Console.Error.WriteLine(e.Message);
            return Interrupted;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Tell(e, Failed);
        }
        catch (OutOfMemoryException e)
        {
            return Tell(
                new RunFailedException("There is not enough memory. Lower batch.tokens or batch.microTokens, or use a smaller model.", e),
                Failed);
        }
        catch (Exception e)
        {
            // The first line of a libtorch fault is the message; the rest is its own stack.
            return Tell(
                new RunFailedException(
                    $"Unexpected: {e.Message.Split('\n')[0]} ({e.GetType().Name}). Set POLYMATH_TRACE=1 and run again to see where; please "
                        + "report it.",
                    e),
                Failed);
        }
    }

    private static int Tell(Exception e, int code)
    {
        Console.Error.WriteLine("polymath: " + e.Message);
        if (!string.IsNullOrEmpty(Environment.GetEnvironmentVariable("POLYMATH_TRACE"))) Console.Error.WriteLine(e);
        return code;
    }

    internal static IEnumerable<string> Path(CommandResult command)
    {
        var names = new Stack<string>();
        for (SymbolResult? at = command; at is CommandResult { Parent: not null } step; at = step.Parent) names.Push(step.Command.Name);
        return names;
    }
}
