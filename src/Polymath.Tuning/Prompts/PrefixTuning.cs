using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// Prefix tuning (Li &amp; Liang 2021), which is P-tuning version 2 (Liu et al. 2022) when the prefix is in every layer: keys and values of
/// virtual tokens are trained in each layer, directly or through a network (Linear, tanh, Linear) over trained embeddings. An
/// encoder-decoder has them before its answers.
/// </summary>
public sealed class PrefixTuning : ComputedPrompt
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.PrefixTuning,
        "PREFIX_TUNING",
        [.. Keys, "encoder_hidden_size", "prefix_projection", "init_weights"],
        Attach)
    {
        SizeKey = "num_virtual_tokens",
        HasSockets = false,
        Idle =
        [
            .. IdleSetting.OfPrompts,
            IdleSetting.Unless("encoder_hidden_size", "prefix_projection", "true"),
        ],
    };

    private readonly Func<Tensor> compute;
    private readonly Func<long, long, Tensor> part;
    private readonly int heads, width, model, layers;
    private readonly bool twice;

    // The whole prefix, and some of its columns: a layer needs only its own.
    private PrefixTuning(
        Func<Tensor> compute,
        Func<long, long, Tensor> part,
        IReadOnlyList<Weight> weights,
        DeltaParts parts,
        int length)
        : base(parts.State, length)
    {
        (this.compute, this.part, Weights) = (compute, part, weights);
        (heads, width, model, layers) = (
            parts.Model.Sizes.KeyValueHeads,
            parts.Model.Sizes.HeadWidth,
            (int)parts.Model.Tokens.Embedding.Value.size(1),
            parts.Model.Sizes.Layers);
        twice = parts.Model.Reading == Reading.EncoderDecoder && parts.Configuration.Whole("num_transformer_submodules", 2) == 2;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override Tensor Embeddings() => compute();

    // The virtual tokens' own states are never used: in each layer their keys and values are the prefix's.
    /// <inheritdoc/>
    public override Tensor Vectors() => zeros(Length, model);

    /// <inheritdoc/>
    public override bool GivesKeysAndValues => true;

    // [n, layers·2·heads·D]: a layer's keys, then its values. For an encoder-decoder, PEFT stores all of them twice and assigns four to
    // a layer, of which the decoder reads the first two.
    /// <inheritdoc/>
    public override (Tensor Keys, Tensor Values) KeysAndValues(int layer)
    {
        var own = part(2L * (twice ? 2 * layer % layers : layer) * heads * width, 2L * heads * width).view(Length, 2, heads, width);
        return (own.select(1, 0), own.select(1, 1));
    }

    private static PrefixTuning Plain(Weight vectors, DeltaParts parts, int length) => new(
        () => vectors.Value,
        (first, count) => vectors.Value.narrow(1, first, count),
        [vectors],
        parts,
        length);

    private static void Attach(DeltaParts parts)
    {
        var sizes = parts.Model.Sizes;
        if (parts.Model is { Reading: Reading.EncoderDecoder, Labels: not null })
            throw parts.Fault(
                "peft_type",
                "a prefix of keys and values comes before an answer, but this model scores labels; use prompt tuning");
        if (!parts.Model.TakesPrefix)
            throw parts.Fault(
                "peft_type",
                $"a prefix of keys and values needs layers that all have them in one size, and those of a "
                    + $"{parts.Model.Configuration["model_type"]} do not; use prompt tuning");
        int count = Tokens(parts), width = sizes.KeyValueHeads * sizes.HeadWidth, whole = sizes.Layers * 2 * width;
        if (parts.Configuration.Whole("token_dim", width) != width)
            throw parts.Fault(
                "token_dim",
                $"the model's keys are {sizes.KeyValueHeads} heads of {sizes.HeadWidth}, {width} in all: the prefix was trained on "
                    + "another model");
        Describe(parts, width, sizes.KeyValueHeads);
        if (!parts.Configuration.Flag("prefix_projection"))
        {
            parts.Plug(Plain(
                parts.Named(parts.IsFresh || !parts.HoldsEncoder ? Key : "embedding.weight", Start.Normal(1), [count, whole]),
                parts,
                count));
            return;
        }
        if (!parts.HoldsEncoder)
        {
            parts.Plug(Plain(parts.Named(Key, Start.Zero, [count, whole]), parts, count));
            return;
        }
        var inner = parts.Configuration.Whole("encoder_hidden_size", width);
        var embedding = parts.Named("embedding.weight", Start.Normal(1), [count, width]);
        Weight w1 = parts.Named("transform.0.weight", Start.Kaiming(width), [inner, width]),
            b1 = parts.Named("transform.0.bias", Start.Kaiming(width), [inner]);
        Weight w2 = parts.Named("transform.2.weight", Start.Kaiming(inner), [whole, inner]),
            b2 = parts.Named("transform.2.bias", Start.Kaiming(inner), [whole]);
        Tensor Bent() => nn.functional.linear(embedding.Value, w1.Value, b1.Value).tanh();
        parts.Plug(new PrefixTuning(
            () => nn.functional.linear(Bent(), w2.Value, b2.Value),
            (first, rows) => MapRows.Of(
                Bent(),
                w2.Value,
                b2.Value,
                first,
                rows),
            [embedding, w1, b1, w2, b2],
            parts,
            count));
    }
}
