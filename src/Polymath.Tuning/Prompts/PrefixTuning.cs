using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// Prefix tuning (Li &amp; Liang 2021), which is P-tuning version 2 (Liu et al. 2022) where the prefix stands in every layer: keys and values of virtual tokens are trained in each layer, as they
/// are or through a network (Linear, tanh, Linear) over trained embeddings.
/// </summary>
public sealed class PrefixTuning : ComputedPrompt
{
    /// <summary>How PEFT's files say it.</summary>
    public static DeltaMethod Method { get; } = new([.. Keys, "encoder_hidden_size", "prefix_projection"], Attach) { SizeKey = "num_virtual_tokens" };

    readonly Func<Tensor> compute;
    readonly int heads, width, model;

    PrefixTuning(Func<Tensor> compute, IReadOnlyList<Weight> weights, DeltaParts parts, int length)
        : base(parts.State, length)
    {
        (this.compute, Weights) = (compute, weights);
        (heads, width, model) = (parts.Model.Sizes.KeyValueHeads, parts.Model.Sizes.HeadWidth, (int)parts.Model.Tokens.Embedding.Value.size(1));
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override Tensor Embeddings() => compute();

    // The virtual tokens' own states are never looked at: in each layer their keys and values are the prefix's.
    /// <inheritdoc/>
    public override Tensor Vectors() => zeros(Length, model);

    /// <inheritdoc/>
    public override bool GivesKeysAndValues => true;

    // [n, layers·2·heads·D]: a layer's keys, then its values.
    /// <inheritdoc/>
    public override (Tensor Keys, Tensor Values) KeysAndValues(int layer)
    {
        var parts = Embeddings().view(Length, -1, heads, width);
        return (parts.select(1, 2 * layer), parts.select(1, 2 * layer + 1));
    }

    static void Attach(DeltaParts parts)
    {
        var sizes = parts.Model.Sizes;
        if (parts.Model.Reading == Reading.EncoderDecoder) throw parts.Fault("peft_type", "a prefix of keys and values is for models that read one row; give an encoder-decoder prompt tuning");
        int count = Tokens(parts), width = sizes.KeyValueHeads * sizes.HeadWidth, whole = sizes.Layers * 2 * width;
        if (parts.Configuration.Whole("token_dim", width) != width) throw parts.Fault("token_dim", $"the model's keys are {sizes.KeyValueHeads} heads of {sizes.HeadWidth}, {width} in all: the prefix was made for another model");
        if (!parts.Configuration.Flag("prefix_projection"))
        {
            var plain = parts.Named(parts.IsFresh || !parts.HoldsEncoder ? Key : "embedding.weight", Start.Normal(1), [count, whole]);
            parts.Plug(new PrefixTuning(() => plain.Value, [plain], parts, count));
            return;
        }
        if (!parts.HoldsEncoder)
        {
            var given = parts.Named(Key, Start.Zero, [count, whole]);
            parts.Plug(new PrefixTuning(() => given.Value, [given], parts, count));
            return;
        }
        var inner = parts.Configuration.Whole("encoder_hidden_size", width);
        var embedding = parts.Named("embedding.weight", Start.Normal(1), [count, width]);
        Weight w1 = parts.Named("transform.0.weight", Start.Kaiming(width), [inner, width]), b1 = parts.Named("transform.0.bias", Start.Kaiming(width), [inner]);
        Weight w2 = parts.Named("transform.2.weight", Start.Kaiming(inner), [whole, inner]), b2 = parts.Named("transform.2.bias", Start.Kaiming(inner), [whole]);
        parts.Plug(new PrefixTuning(
            () => nn.functional.linear(nn.functional.linear(embedding.Value, w1.Value, b1.Value).tanh(), w2.Value, b2.Value), [embedding, w1, b1, w2, b2], parts, count));
    }
}
