using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// Prefix tuning (Li &amp; Liang 2021), which is P-tuning version 2 (Liu et al. 2022) when the prefix is in every layer: keys and values of
/// virtual tokens are trained in each layer, directly or through a network (Linear, tanh, Linear) over trained embeddings. An
/// encoder-decoder has them before its answers, as in PEFT; with <c>prefix_places</c> also, or only, before its source, as in OpenPrompt.
/// </summary>
public sealed class PrefixTuning : ComputedPrompt
{
    private const string Places = "prefix_places", Source = "source.", Answers = "decoder", Sources = "encoder", Both = "both";

    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.PrefixTuning,
        "PREFIX_TUNING",
        [.. Keys, "encoder_hidden_size", "prefix_projection", "init_weights", Places],
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

    private readonly LayerPrefix? answers, sources;
    private readonly int heads, width, model, layers;
    private readonly bool twice;

    private PrefixTuning(LayerPrefix? answers, LayerPrefix? sources, DeltaParts parts, int length)
        : base(parts.State, length)
    {
        (this.answers, this.sources) = (answers, sources);
        Weights = [.. answers?.Weights ?? [], .. sources?.Weights ?? []];
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
    public override Tensor Embeddings() => (answers ?? sources)!.Whole();

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Tensor> Computed()
    {
        var content = new Dictionary<string, Tensor>();
        if (answers is not null) content[Key] = answers.Whole();
        if (sources is not null) content[Source + Key] = sources.Whole();
        return content;
    }

    // The virtual tokens' own states are never used: in each layer their keys and values are the prefix's.
    /// <inheritdoc/>
    public override Tensor Vectors() => zeros(Length, model);

    /// <inheritdoc/>
    public override bool GivesKeysAndValues => answers is not null;

    /// <inheritdoc/>
    public override bool GivesSource => sources is not null;

    // [n, layers·2·heads·D]: a layer's keys, then its values. For an encoder-decoder, PEFT stores all of them twice and assigns four to
    // a layer, of which the decoder reads the first two.
    /// <inheritdoc/>
    public override (Tensor Keys, Tensor Values) KeysAndValues(int layer) => Of(answers!, twice ? 2 * layer % layers : layer);

    /// <inheritdoc/>
    public override (Tensor Keys, Tensor Values) SourceKeysAndValues(int layer) => Of(sources!, layer);

    private (Tensor Keys, Tensor Values) Of(LayerPrefix prefix, int layer)
    {
        var own = prefix.Columns(2L * layer * heads * width, 2L * heads * width).view(Length, 2, heads, width);
        return (own.select(1, 0), own.select(1, 1));
    }

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
        int count = Tokens(parts), width = sizes.KeyValueHeads * sizes.HeadWidth;
        if (parts.Configuration.Whole("token_dim", width) != width)
            throw parts.Fault(
                "token_dim",
                $"the model's keys are {sizes.KeyValueHeads} heads of {sizes.HeadWidth}, {width} in all: the prefix was trained on "
                    + "another model");
        Describe(parts, width, sizes.KeyValueHeads);
        var places = parts.Configuration.Text(Places) ?? Answers;
        if (places is not (Answers or Sources or Both))
            throw parts.Fault(Places, $"it is {Answers}, {Sources} or {Both}");
        if (places != Answers && !parts.Model.TakesSourcePrefix)
            throw parts.Fault(
                Places,
                $"a {parts.Model.Configuration["model_type"]} has no encoder that takes keys and values before a source; leave it out");
        var layers = parts.Model.Configuration["num_layers"]?.GetValue<int>() ?? sizes.Layers;
        parts.Plug(new PrefixTuning(
            places == Sources ? null : LayerPrefix.Of(parts, "", (count, width, sizes.Layers)),
            places == Answers ? null : LayerPrefix.Of(parts, Source, (count, width, layers)),
            parts,
            count));
    }
}
