using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>
/// A convolution along each row, channel by channel: a token's output depends on itself and the tokens just before it, with zeros before
/// the row's first.
/// </summary>
public sealed class CausalConvolution
{
    private readonly string name;
    private readonly Weight weight;
    private readonly Weight? bias;

    /// <summary>Gets the weights <c>NAME.weight</c> [channels, 1, length] and, where asked, <c>NAME.bias</c>.</summary>
    /// <param name="parts">The model's parts.</param>
    /// <param name="name">The module's name.</param>
    /// <param name="channels">The channels.</param>
    /// <param name="length">How many tokens an output depends on.</param>
    /// <param name="bias">Whether there is a bias.</param>
    public CausalConvolution(
        ModelParts parts,
        string name,
        int channels,
        int length,
        bool bias)
    {
        ArgumentNullException.ThrowIfNull(parts);
        this.name = name;
        weight = parts.Weight(name + ".weight", channels, 1, length);
        this.bias = bias ? parts.Bias(name + ".bias", channels) : null;
    }

    /// <summary>Maps x [tokens, channels] to the same shape.</summary>
    /// <param name="x">The input.</param>
    /// <param name="batch">The rows.</param>
    /// <param name="cache">The cache that carries a row's last inputs, or null.</param>
    public Tensor Forward(Tensor x, Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(batch);
        var before = weight.Shape[2] - 1;
        var rows = new List<Tensor>();
        for (var r = 0; r < batch.Rows; r++)
        {
            var own = x.narrow(0, batch.Offsets[r], batch.Offsets[r + 1] - batch.Offsets[r]);
            var start = cache?.State(name, batch, r) ?? zeros(before, x.size(1), device: x.device);
            var seen = cat([start, own], 0);                                                        // [before + tokens, channels]
            cache?.Leave(name, batch, r, seen.narrow(0, own.size(0), before));
            rows.Add(nn.functional.conv1d(seen.t().unsqueeze(0), weight.Value, bias?.Value, groups: x.size(1)).squeeze(0).t());
        }
        return cat(rows, 0);
    }
}
