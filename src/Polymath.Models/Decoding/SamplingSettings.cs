using Polymath.Recipes;

namespace Polymath.Models.Decoding;

/// <summary>How the next token is chosen.</summary>
/// <param name="Temperature">Logits are divided by it; 0 chooses the most probable token.</param>
/// <param name="TopK">Only the K most probable tokens; 0 for all.</param>
/// <param name="TopP">Only the most probable tokens that together reach this probability (Holtzman et al. 2020), of those that
/// <paramref name="TopK"/> leaves.</param>
/// <param name="MaxNewTokens">The most tokens of an answer.</param>
/// <param name="Seed">The seed.</param>
/// <param name="MinP">Only tokens with at least this share of the most probable token's probability (Nguyen et al. 2024); 0 for
/// all.</param>
/// <param name="RepetitionPenalty">The logit of a token that is in the prompt or the answer is divided by this, or multiplied when it is
/// below zero (Keskar et al. 2019); 1 for none. An encoder's source is not what the decoder repeats, and is spared.</param>
/// <param name="PresencePenalty">This is subtracted from the logit of a token that is in the answer; 0 for none.</param>
/// <param name="Beams">The number of beams, of which the most likely is returned; 1 for no beam search. With beams, nothing is
/// sampled.</param>
/// <param name="LengthPenalty">When beams are compared, the log-probability is divided by the answer's length to this power.</param>
public sealed record SamplingSettings(
    double Temperature = 0.8,
    int TopK = 0,
    double TopP = 1,
    int MaxNewTokens = 128,
    long Seed = 0,
    double MinP = 0,
    double RepetitionPenalty = 1,
    double PresencePenalty = 0,
    int Beams = 1,
    double LengthPenalty = 1)
{
    /// <summary>Texts that end an answer; they are not part of it.</summary>
    public IReadOnlyList<string> Stops { get; init; } = [];

    /// <summary>Throws when a number is out of its range.</summary>
    public void Check()
    {
        if (!(Temperature >= 0) || double.IsInfinity(Temperature))
            throw new InputException($"temperature is {Temperature}; it must be 0 (greedy) or more.");
        if (TopK < 0) throw new InputException($"top-k is {TopK}; it must be 0 (all tokens) or more.");
        if (TopP is not (> 0 and <= 1)) throw new InputException($"top-p is {TopP}; it must be above 0 and at most 1.");
        if (MinP is not (>= 0 and <= 1)) throw new InputException($"min-p is {MinP}; it must be from 0 to 1.");
        if (!(RepetitionPenalty > 0) || double.IsInfinity(RepetitionPenalty))
            throw new InputException($"repetition-penalty is {RepetitionPenalty}; it must be above 0, 1 for none.");
        if (!double.IsFinite(PresencePenalty))
            throw new InputException($"presence-penalty is {PresencePenalty}; it must be a number, 0 for none.");
        if (Beams < 1) throw new InputException($"beams is {Beams}; it must be at least 1.");
        if (!double.IsFinite(LengthPenalty)) throw new InputException($"length-penalty is {LengthPenalty}; it must be a number.");
        if (Stops.Any(stop => stop.Length == 0)) throw new InputException("A stop text is empty; every answer would end at once.");
        if (MaxNewTokens < 1) throw new InputException($"max-new-tokens is {MaxNewTokens}; it must be at least 1.");
    }
}
