namespace Polymath.Models;

/// <summary>The sizes that every family has.</summary>
/// <param name="VocabularySize">The number of tokens.</param>
/// <param name="HiddenSize">The width of the residual stream.</param>
/// <param name="Layers">The number of blocks.</param>
/// <param name="Heads">The number of query heads.</param>
/// <param name="KeyValueHeads">The number of key and value heads.</param>
/// <param name="HeadWidth">The width of a head.</param>
/// <param name="ContextLength">The most tokens of a row.</param>
public sealed record ModelSizes(
    int VocabularySize,
    int HiddenSize,
    int Layers,
    int Heads,
    int KeyValueHeads,
    int HeadWidth,
    int ContextLength);
