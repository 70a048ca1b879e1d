using Polymath.Models.Parts;

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
    int ContextLength)
{
    /// <summary>The sizes of a decoder, by the names that most configurations have.</summary>
    /// <param name="read">The configuration.</param>
    /// <param name="attention">The sizes of its attention.</param>
    /// <param name="context">The most tokens of a row where the configuration does not say.</param>
    public static ModelSizes Of(ConfigReader read, AttentionSizes attention, int context)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(attention);
        return new ModelSizes(
            read.Int("vocab_size"),
            attention.Hidden,
            read.Int("num_hidden_layers"),
            attention.Heads,
            attention.KeyValueHeads,
            attention.HeadWidth,
            read.Int("max_position_embeddings", context));
    }
}
