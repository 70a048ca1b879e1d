using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>Learned keys and values before each row of an encoder-decoder's source (prefix tuning: Li &amp; Liang 2021).</summary>
internal sealed class SourcePrefix
{
    private readonly SoftPrompt prompt;
    private readonly Tensor places;

    /// <summary>The prefix of a batch.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="source">The encoder's rows.</param>
    internal SourcePrefix(SoftPrompt prompt, Batch source)
    {
        this.prompt = prompt;
        int[] offsets = [.. source.Offsets.Select((offset, row) => offset + (row * Length))];
        Reach = Reach.Whole(source.Offsets, offsets);
        // The prefix lies first, then the tokens of all rows.
        places = tensor(
            Enumerable.Range(0, source.Rows).SelectMany(row => Enumerable.Range(0, Length).Concat(
                Enumerable.Range(Length + source.Offsets[row], source.Offsets[row + 1] - source.Offsets[row])))
                .Select(place => (long)place).ToArray(),
            device: source.Ids.device);
    }

    /// <summary>The number of its places.</summary>
    internal int Length => prompt.Length;

    /// <summary>Each token sees the prefix and all of its row.</summary>
    internal Reach Reach { get; }

    /// <summary>Keys and values with the prefix before each row.</summary>
    /// <param name="layer">The layer of the encoder.</param>
    /// <param name="key">[tokens, heads, D].</param>
    /// <param name="value">[tokens, heads, D].</param>
    internal (Tensor Key, Tensor Value) Before(int layer, Tensor key, Tensor value)
    {
        var (keys, values) = prompt.SourceKeysAndValues(layer);
        return (cat([keys, key], 0).index_select(0, places), cat([values, value], 0).index_select(0, places));
    }
}
