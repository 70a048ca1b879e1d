namespace Polymath.Recipes;

/// <summary>
/// A fault of the input or of the environment. The user sees its message as it is: what is wrong, where, what was found, what to type next.
/// Exit code 2.
/// </summary>
/// <param name="message">The whole message.</param>
/// <param name="inner">What caused it.</param>
public class InputException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A run that failed although its input was right (a loss that is not a number, a full disk). Exit code 1.</summary>
/// <param name="message">The whole message.</param>
/// <param name="inner">What caused it.</param>
public class RunFailedException(string message, Exception? inner = null) : Exception(message, inner);
