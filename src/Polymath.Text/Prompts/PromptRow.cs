namespace Polymath.Text.Prompts;

/// <summary>A prompt's tokens, as a model reads them; nothing is padded.</summary>
/// <param name="Ids">The tokens; 0 at a soft token.</param>
/// <param name="SoftIds">The number of the soft token at each place, from 1; 0 for a token of the vocabulary.</param>
/// <param name="LossIds">
/// 1 where a target or an answer is, 0 elsewhere, -100 at tokens that the tokenizer adds. For an encoder-decoder they belong to
/// <paramref name="DecoderIds"/>, else to <paramref name="Ids"/>.
/// </param>
/// <param name="DecoderIds">What an encoder-decoder's decoder reads; null for other models.</param>
/// <param name="Answers">
/// The places in <paramref name="DecoderIds"/>, else in <paramref name="Ids"/>, whose logits give the answer to each mask; empty where the
/// answers are filled in.
/// </param>
/// <param name="Targets">The tokens of the target texts, for a masked model.</param>
/// <param name="Cut">How many tokens were cut.</param>
public sealed record PromptRow(
    int[] Ids,
    int[] SoftIds,
    int[] LossIds,
    int[]? DecoderIds,
    int[] Answers,
    IReadOnlyList<int[]> Targets,
    int Cut);
