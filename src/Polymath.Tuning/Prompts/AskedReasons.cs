using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>Why labels are named, for n texts.</summary>
/// <param name="Together">The log-probabilities of the labels [n, C].</param>
/// <param name="Each">Those by each prompt [prompts, n, C].</param>
/// <param name="Shares">The prompts' shares.</param>
/// <param name="Words">For each prompt, the probabilities of the labels' words [n, C, W]; null where no words are read.</param>
internal sealed record AskedReasons(
    Tensor Together,
    Tensor Each,
    IReadOnlyList<float> Shares,
    IReadOnlyList<Tensor?> Words);
