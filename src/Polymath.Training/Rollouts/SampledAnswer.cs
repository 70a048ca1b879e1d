using Polymath.Text.Packing;

namespace Polymath.Training.Rollouts;

/// <summary>A prompt for alignment, and the fields that the rewards read.</summary>
/// <param name="Key">Its name in messages.</param>
/// <param name="Message">What the user says.</param>
/// <param name="Fields">The fields.</param>
public sealed record RolloutPrompt(string Key, string Message, IReadOnlyDictionary<string, string> Fields);

/// <summary>An answer that the model sampled, as a line of a round's file.</summary>
/// <param name="Key">The prompt's name in messages.</param>
/// <param name="Group">The prompt's number in the round: its answers are compared with each other.</param>
/// <param name="Prompt">What the user says.</param>
/// <param name="Answer">The answer's text.</param>
/// <param name="Rewards">What each reward said; null for nothing.</param>
/// <param name="Score">The weighted sum of the rewards, less the penalties of long answers; null where no reward said anything, and then
/// nothing is learned from it.</param>
/// <param name="PromptIds">The prompt's tokens.</param>
/// <param name="AnswerIds">The answer's tokens, with the one that ended it.</param>
/// <param name="LogProbabilities">log π of each answer token under the policy that sampled it; empty where nothing is learned.</param>
/// <param name="Ended">Whether it ended by itself, and not by its length.</param>
public sealed record SampledAnswer(
    string Key,
    int Group,
    string Prompt,
    string Answer,
    IReadOnlyDictionary<string, double?> Rewards,
    double? Score,
    int[] PromptIds,
    int[] AnswerIds,
    float[] LogProbabilities,
    bool Ended = true)
{
    /// <summary>
    /// log π of each answer token that the sampler computed while it sampled; <see cref="LogProbabilities"/> are the trainer's own.
    /// </summary>
    public float[]? Sampled { get; init; }

    /// <summary>log π of each answer token under the policy at the start of the stage; null where it is not compared with.</summary>
    public float[]? Reference { get; init; }

    /// <summary>The critic's value at each place; null without a critic.</summary>
    public float[]? Values { get; init; }

    /// <summary>The row: the prompt is read, the answer learned.</summary>
    public TokenRow Row() =>
        new([.. PromptIds, .. AnswerIds], [.. PromptIds.Select(_ => 0f), .. AnswerIds.Select(_ => 1f)], Key);
}
