namespace Polymath.Models.Decoding;

/// <summary>The tokens of an answer, and why it ended.</summary>
/// <param name="Tokens">The tokens, without the one that ended it.</param>
/// <param name="End">The token that ended it; null when it ended otherwise.</param>
/// <param name="Stopped">Whether the caller ended it, such as at a stop text.</param>
public sealed record GeneratedTokens(int[] Tokens, int? End = null, bool Stopped = false)
{
    /// <summary>
    /// log π of each token under the sampler's temperature, and of the one that ended it; null where they were not asked for.
    /// </summary>
    public float[]? Scores { get; init; }

    /// <summary>
    /// Why it ended: <c>stop</c> at an end token or a stop text, <c>length</c> at the most new tokens or at the end of the context.
    /// </summary>
    public string Finish => End is not null || Stopped ? "stop" : "length";
}

/// <summary>An answer as text.</summary>
/// <param name="Text">The text, without a stop text.</param>
/// <param name="Generated">The tokens, and why the answer ended.</param>
public sealed record GeneratedText(string Text, GeneratedTokens Generated);
