namespace Polymath.Recipes;

/// <summary>
/// A fault of the input or of the surroundings, told to the user as it stands: what is wrong, where, what was found, what to type next.
/// Exit code 2.
/// </summary>
/// <param name="message">The whole message.</param>
/// <param name="inner">What caused it.</param>
public class InputException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// A run that could not be carried through although its input was right (a loss that is no number, a full disk). Exit code 1.
/// </summary>
/// <param name="message">The whole message.</param>
/// <param name="inner">What caused it.</param>
public class RunFailedException(string message, Exception? inner = null) : Exception(message, inner);
