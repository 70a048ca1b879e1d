namespace Polymath.Models.Decoding;

/// <summary>Makes tokens that occurred before less probable.</summary>
internal static class Penalties
{
    /// <summary>Changes logits in place.</summary>
    /// <param name="logits">The logits of one row [vocabulary].</param>
    /// <param name="prompt">The prompt.</param>
    /// <param name="answer">The answer so far.</param>
    /// <param name="settings">The penalties.</param>
    internal static void Apply(Span<float> logits, int[] prompt, IReadOnlyCollection<int> answer, SamplingSettings settings)
    {
        if (settings.RepetitionPenalty != 1)
            foreach (var token in prompt.Concat(answer).Distinct())
                logits[token] =
                    (float)(logits[token] > 0 ? logits[token] / settings.RepetitionPenalty : logits[token] * settings.RepetitionPenalty);
        if (settings.PresencePenalty != 0)
            foreach (var token in answer.Distinct()) logits[token] -= (float)settings.PresencePenalty;
    }
}
