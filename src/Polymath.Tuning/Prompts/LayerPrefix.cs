using Polymath.Models;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>The keys and values of virtual tokens in all layers [n, layers·2·heads·D], trained directly or through a network.</summary>
internal sealed class LayerPrefix
{
    private readonly Func<Tensor> whole;
    private readonly Func<long, long, Tensor> columns;

    // The whole prefix, and some of its columns: a layer needs only its own.
    private LayerPrefix(Func<Tensor> whole, Func<long, long, Tensor> columns, IReadOnlyList<Weight> weights) =>
        (this.whole, this.columns, Weights) = (whole, columns, weights);

    /// <summary>Its weights.</summary>
    internal IReadOnlyList<Weight> Weights { get; }

    /// <summary>All of it.</summary>
    internal Tensor Whole() => whole();

    /// <summary>Some of its columns [n, count].</summary>
    /// <param name="first">The first one.</param>
    /// <param name="count">How many.</param>
    internal Tensor Columns(long first, long count) => columns(first, count);

    /// <summary>A prefix as a configuration says.</summary>
    /// <param name="parts">Gives the weights.</param>
    /// <param name="before">What stands before their names.</param>
    /// <param name="size">The virtual tokens, the width of a layer's keys, and the layers.</param>
    internal static LayerPrefix Of(DeltaParts parts, string before, (int Tokens, int Width, int Layers) size)
    {
        var (count, width, layers) = size;
        var all = layers * 2 * width;
        var held = parts.IsFresh || parts.HoldsWhole(before + "embedding.weight");
        if (!parts.Configuration.Flag("prefix_projection"))
            return Plain(parts.Named(
                before + (parts.IsFresh || !held ? ComputedPrompt.Key : "embedding.weight"), Start.Normal(1), [count, all]));
        if (!held) return Plain(parts.Named(before + ComputedPrompt.Key, Start.Zero, [count, all]));
        var inner = parts.Configuration.Whole("encoder_hidden_size", width);
        var embedding = parts.Named(before + "embedding.weight", Start.Normal(1), [count, width]);
        Weight w1 = parts.Named(before + "transform.0.weight", Start.Kaiming(width), [inner, width]),
            b1 = parts.Named(before + "transform.0.bias", Start.Kaiming(width), [inner]);
        Weight w2 = parts.Named(before + "transform.2.weight", Start.Kaiming(inner), [all, inner]),
            b2 = parts.Named(before + "transform.2.bias", Start.Kaiming(inner), [all]);
        Tensor Bent() => nn.functional.linear(embedding.Value, w1.Value, b1.Value).tanh();
        return new LayerPrefix(
            () => nn.functional.linear(Bent(), w2.Value, b2.Value),
            (first, rows) => MapRows.Of(
                Bent(),
                w2.Value,
                b2.Value,
                first,
                rows),
            [embedding, w1, b1, w2, b2]);
    }

    private static LayerPrefix Plain(Weight vectors) =>
        new(() => vectors.Value, (first, count) => vectors.Value.narrow(1, first, count), [vectors]);
}
