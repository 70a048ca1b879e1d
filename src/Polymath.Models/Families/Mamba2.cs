using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Mamba 2 (Dao &amp; Gu 2024): no attention; each head keeps a state that decays and takes in its input, and is read out, by maps of the
/// token itself.
/// </summary>
public sealed class Mamba2 : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Mamba2(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Mamba2(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("hidden_size"),
            heads = read.Int("num_heads", 128),
            width = read.Int("head_dim", 64),
            layers = read.Int("num_hidden_layers"),
            vocabulary = read.Int("vocab_size");
        if (heads * width != read.Int("expand", 2) * hidden)
            throw ConfigReader.Fault("num_heads", $"is {heads}; {heads} heads of {width} are not expand times the hidden width {hidden}");
        // There are no positions, so rows have no largest length.
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            width,
            1 << 20);
        var epsilon = read.Double("layer_norm_epsilon", 1e-5);
        Tokens = parts.Tokens(
            read,
            "backbone.embeddings.weight",
            "lm_head.weight",
            vocabulary,
            hidden);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"backbone.layers.{layer}.";
            blocks[layer] = new Block(
                parts.Norm(NormKind.Rms, prefix + "norm", hidden, epsilon), new Mixer(
                    parts,
                    read,
                    prefix + "mixer.",
                    layer,
                    hidden,
                    heads,
                    width,
                    epsilon));
        }
        norm = parts.Norm(NormKind.Rms, "backbone.norm_f", hidden, epsilon);
        Labels = LabelHead.Attach(read, parts, hidden, LabelPlace.Last);
        parts.Finish();
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["in_proj", "out_proj"];

    /// <inheritdoc/>
    public override bool TakesPrefix => false;

    /// <inheritdoc/>
    public override KeyValueCache NewCache(int slots, int capacity) => new([.. Enumerable.Repeat((1, 1), Sizes.Layers)], slots, capacity);

    /// <inheritdoc/>
    protected override bool ReadsByAttention => false;

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) => x + block.Mixer.Forward(block.Before.Forward(x), batch, cache));
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private sealed class Mixer
    {
        private readonly string name;
        private readonly int heads, width, groups, state;
        private readonly (double Least, double Most) limit;
        private readonly Projection input, output;
        private readonly CausalConvolution convolution;
        private readonly Weight decay, skip, step;
        private readonly Norm norm;
        private readonly Activation activation;

        internal Mixer(
            ModelParts parts,
            ConfigReader read,
            string prefix,
            int layer,
            int hidden,
            int heads,
            int width,
            double epsilon)
        {
            (name, this.heads, this.width) = (prefix, heads, width);
            (groups, state) = (read.Int("n_groups", 8), read.Int("state_size", 128));
            limit = read.Range("time_step_limit", 0, double.PositiveInfinity);
            activation = new Activation(read.Text("hidden_act", "silu"));
            int inner = heads * width, mixed = inner + 2 * groups * state;
            var bias = read.Bool("use_bias", false);
            input = parts.Linear(
                prefix + "in_proj",
                Role.QueryKeyValue,
                layer,
                inner + mixed + heads,
                hidden,
                bias);
            convolution = new CausalConvolution(
                parts,
                prefix + "conv1d",
                mixed,
                read.Int("conv_kernel", 4),
                read.Bool("use_conv_bias", true));
            decay = parts.Scale(prefix + "A_log", heads);
            skip = parts.Scale(prefix + "D", heads);
            step = parts.Scale(prefix + "dt_bias", heads);
            norm = parts.Norm(NormKind.Rms, prefix + "norm", inner, epsilon);
            output = parts.Linear(
                prefix + "out_proj",
                Role.Output,
                layer,
                hidden,
                inner,
                bias);
        }

        internal Tensor Forward(Tensor x, Batch batch, KeyValueCache? cache)
        {
            int inner = heads * width, shared = groups * state;
            var all = input.Forward(x);                                                                 // [tokens, gate; mixed; steps]
            var gate = all.narrow(1, 0, inner);
            var mixed = activation.Forward(convolution.Forward(all.narrow(1, inner, inner + 2 * shared), batch, cache));
            Tensor Of(int from) => mixed.narrow(1, from, shared).reshape(-1, groups, state).repeat_interleave(heads / groups, 1);
            var value = mixed.narrow(1, 0, inner).reshape(-1, heads, width);
            var time = nn.functional.softplus(all.narrow(1, 2 * inner + 2 * shared, heads) + step.Value).clamp(limit.Least, limit.Most);
            var fall = time * decay.Value.exp().neg();                                                  // [tokens, heads]
            var scan = DecayScan.Of(
                batch,
                cache,
                name,
                Of(inner + shared),
                Of(inner),
                value * time.unsqueeze(2),
                fall);
            var y = (scan + value * skip.Value.unsqueeze(1)).reshape(-1, inner);
            return output.Forward(norm.Forward((y * nn.functional.silu(gate)).contiguous()));
        }
    }

    private sealed record Block(Norm Before, Mixer Mixer);
}
