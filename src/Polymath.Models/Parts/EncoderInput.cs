using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>What an encoder of BERT's kind reads: a token's vector, its place's, and the one of the text that it belongs to.</summary>
/// <param name="positions">The places' vectors [context, width], or null.</param>
/// <param name="kinds">The texts' vectors [kinds, width], or null.</param>
public sealed class EncoderInput(Weight? positions, Weight? kinds)
{
    /// <summary>The sum of the vectors [tokens, width].</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="tokens">The token vectors: the model's own table, in which deltas and prompts lie.</param>
    public Tensor Forward(Batch batch, TokenTable tokens)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(tokens);
        var x = tokens.Embed(batch.Ids);
        if (positions is not null)
        {
            if (batch.Positions.Length > 0 && batch.Positions.Max() >= positions.Shape[0])
                throw new InputException($"A row has {batch.Positions.Max() + 1} tokens, the model's context {positions.Shape[0]}. Cut or "
                    + "split it.");
            using var places = tensor(Array.ConvertAll(batch.Positions, place => (long)place), device: x.device);
            x = x + positions.Value.index_select(0, places);
        }
        if (kinds is null) return x;
        if (batch.TokenTypes is null) return x + kinds.Value[0];
        using var of = tensor(Array.ConvertAll(batch.TokenTypes, kind => (long)kind), device: x.device);
        return x + kinds.Value.index_select(0, of);
    }
}
