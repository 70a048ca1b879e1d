namespace Polymath.Models;

/// <summary>The direction in which a model reads.</summary>
public enum Reading
{
    /// <summary>Forward: each token predicts the next.</summary>
    Decoder,

    /// <summary>In both directions: masked words are predicted.</summary>
    Encoder,

    /// <summary>The source in both directions, the answer forward.</summary>
    EncoderDecoder,
}
