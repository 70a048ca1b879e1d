using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// P-tuning within a template, as OpenPrompt and PTR have it (Liu et al. 2021; Han et al. 2021): the vectors of the soft places go, in
/// their order, through two bidirectional LSTM layers if wanted, and through Linear, ReLU, Linear. In those, each place starts from a
/// vector of its own; in recipes, places with one number start from one vector.
/// </summary>
public sealed class EncodedPrompt : InlinePrompt
{
    private readonly Func<Tensor> compute;

    /// <summary>A prompt.</summary>
    /// <param name="places">The number of soft places.</param>
    /// <param name="width">The width of a token's vector.</param>
    /// <param name="withLstm">Whether the LSTM comes first.</param>
    /// <param name="take">Gives a weight by its name in files and its shape.</param>
    /// <param name="starts">For each place, the number of the vector it starts from, from 0; null for one each.</param>
    public EncodedPrompt(
        int places,
        int width,
        bool withLstm,
        Func<string, long[], Weight> take,
        IReadOnlyList<int>? starts = null)
    {
        ArgumentNullException.ThrowIfNull(take);
        var weights = new List<Weight>();
        Weight Take(string name, params long[] shape)
        {
            weights.Add(take(name, shape));
            return weights[^1];
        }
        var start = Take("new_embedding.weight", starts?.Max() + 1 ?? places, width);
        long[]? from = starts is null ? null : [.. starts.Select(number => (long)number)];
        var layers = Enumerable.Range(0, withLstm ? 2 : 0).Select(layer => (Cell(layer, ""), Cell(layer, "_reverse"))).ToList();
        LstmDirection Cell(int layer, string end) => LstmDirection.Of(
            name => $"new_lstm_head.{name}_l{layer}{end}",
            layer == 0 ? width : 2 * width,
            width,
            Take);
        Weight w1 = Take("new_mlp_head.0.weight", width, withLstm ? 2 * width : width), b1 = Take("new_mlp_head.0.bias", width),
            w2 = Take("new_mlp_head.2.weight", width, width), b2 = Take("new_mlp_head.2.bias", width);
        compute = () =>
        {
            var x = from is null ? start.Value : start.Value.index_select(0, tensor(from, device: start.Value.device));
            foreach (var (forward, backward) in layers) x = cat([forward.Run(x, reversed: false), backward.Run(x, reversed: true)], 1);
            return nn.functional.linear(nn.functional.linear(x, w1.Value, b1.Value).relu(), w2.Value, b2.Value);
        };
        Weights = weights;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override bool CountsPlaces => true;

    /// <inheritdoc/>
    public override Tensor Vectors() => compute();
}
