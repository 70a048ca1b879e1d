using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>The table of token vectors, and the output head, which is the same table where the model ties them.</summary>
/// <param name="embedding">The token vectors [vocabulary, width].</param>
/// <param name="head">The output weights [vocabulary, width]; the same object as <paramref name="embedding"/> where they are tied.</param>
public sealed class TokenTable(Weight embedding, Weight head)
{
    /// <summary>The token vectors [vocabulary, width].</summary>
    public Weight Embedding { get; } = embedding;

    /// <summary>The output weights [vocabulary, width].</summary>
    public Weight Head { get; } = head;

    /// <summary>What is added to the logits [vocabulary], or null (BERT).</summary>
    public Weight? HeadBias { get; init; }

    /// <summary>What logits are bent towards: cap·tanh(x/cap); 0 for none (Gemma 2).</summary>
    public double SoftCap { get; init; }

    /// <summary>The vectors of tokens [n] as [n, width].</summary>
    /// <param name="ids">The tokens, 64-bit.</param>
    public Tensor Embed(Tensor ids) => Embedding.Value.index_select(0, ids).to(ScalarType.Float32);
}
