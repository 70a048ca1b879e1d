namespace Polymath.Models.Decoding;

/// <summary>An answer that is asked of a <see cref="Decoder"/>.</summary>
/// <param name="Prompt">The prompt's tokens.</param>
/// <param name="Settings">How tokens are chosen, and how many at most. Stop texts are the caller's, who knows the tokenizer.</param>
/// <param name="Stream">The number of the row's stream of random numbers under the seed.</param>
public sealed record DecodeRequest(int[] Prompt, SamplingSettings Settings, long Stream = 0)
{
    /// <summary>The tokens that end the answer; they are not part of it.</summary>
    public IReadOnlyCollection<int> Ends { get; init; } = [];

    /// <summary>Whether the log-probabilities of the tokens are kept.</summary>
    public bool Scored { get; init; }

    /// <summary>The expected row whose adapters apply, where rows are routed.</summary>
    public int Row { get; init; }
}

/// <summary>A token that a step gave to a slot.</summary>
/// <param name="Slot">The slot.</param>
/// <param name="Token">The token; null where the answer ended with an end token.</param>
/// <param name="Ended">Whether the answer is complete.</param>
public readonly record struct DecodedToken(int Slot, int? Token, bool Ended);
