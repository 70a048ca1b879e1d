namespace Polymath.Models;

/// <summary>Which way a model reads.</summary>
public enum Reading
{
    /// <summary>Forward, each token foretelling the next.</summary>
    Decoder,

    /// <summary>In both directions, hidden words being found.</summary>
    Encoder,

    /// <summary>A source in both directions, an answer forward.</summary>
    EncoderDecoder,
}
