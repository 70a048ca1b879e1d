using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Qwen3-Next and Qwen 3.5 (Qwen Team 2025, 2026): most layers are linear attention by the gated delta rule (Yang et al. 2024), the
/// others attention with a gate on its output; norms have the weight 1 + w; a mixture of experts or a plain feed-forward part.
/// </summary>
public sealed class Qwen3Next : LanguageModel
{
    private const string Full = "full_attention", Linear = "linear_attention";
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly AttentionForm form;
    private readonly string[] types;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Qwen3Next(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Qwen3Next(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var type = read.Text("model_type", "qwen3_next");
        bool next = type == "qwen3_next", several = type != "qwen3_5_text";
        var attention = AttentionSizes.Of(read, next ? 2 : 4, 256);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size", 5632),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 32768);
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        form = new AttentionForm(1 / Math.Sqrt(attention.HeadWidth));
        rotary = parts.Rotary(read.Rope(10000, 0.25), attention.HeadWidth);
        var bias = read.Bool("attention_bias", false);
        var interval = read.Int("full_attention_interval", 4);
        types = read.LayerTypes(layers, layer => (layer + 1) % interval == 0 ? Full : Linear, Full, Linear);
        var dense = next ? read.Numbers("mlp_only_layers") : [];
        int count = read.Int("num_experts", next ? 512 : 256), step = next ? read.Int("decoder_sparse_step", 1) : 1;
        var experts = several ? count : 0;
        var renormalise = !next || read.Bool("norm_topk_prob", true);
        Tokens = parts.Tokens(read, Sizes);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            Norm Scale(string name, int width) => parts.Norm(NormKind.RmsFromOne, prefix + name, width, epsilon);
            var before = Scale("input_layernorm", hidden);
            Func<Tensor, Batch, RotaryAngles, KeyValueCache?, Tensor> mix = types[layer] == Linear
                ? new DeltaRule(
                    parts,
                    read,
                    prefix + "linear_attn.",
                    layer,
                    hidden,
                    fused: next,
                    epsilon).Forward
                : new GatedOutput(
                    parts,
                    prefix + "self_attn.",
                    attention,
                    new AttentionPlace(layer, form) { Socket = parts.Attention(prefix + "self_attn", layer) },
                    Scale("self_attn.q_norm", attention.HeadWidth),
                    Scale("self_attn.k_norm", attention.HeadWidth),
                    bias).Forward;
            Func<Tensor, Tensor> feed = !several || dense.Contains(layer) || (layer + 1) % step != 0
                ? GatedFeedForward.Apart(
                    parts,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    inner,
                    activation).Forward
                : SharedMixture.Of(
                    parts,
                    read,
                    prefix + "mlp.",
                    layer,
                    hidden,
                    experts,
                    renormalise,
                    activation);
            blocks[layer] = new Block(before, mix, Scale("post_attention_layernorm", hidden), feed);
        }
        norm = parts.Norm(NormKind.RmsFromOne, "model.norm", hidden, epsilon);
        Labels = LabelHead.Attach(read, parts, hidden, LabelPlace.Last);
        parts.Finish();
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["q_proj", "v_proj"];

    /// <inheritdoc/>
    public override KeyValueCache NewCache(int slots, int capacity) => new(
        [.. types.Select(type => type == Full ? (Sizes.KeyValueHeads, Sizes.HeadWidth) : (1, 1))], slots, capacity);

    /// <inheritdoc/>
    protected override bool ReadsByAttention => false;

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            x = x + block.Mix(block.Before.Forward(x), batch, turns, cache);
            return x + block.FeedForward(block.Between.Forward(x));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    // Attention whose output each head gates: the query map gives, head by head, a query and a gate.
    private sealed class GatedOutput(
        ModelParts parts,
        string prefix,
        AttentionSizes sizes,
        AttentionPlace place,
        Norm queryNorm,
        Norm keyNorm,
        bool bias)
    {
        private readonly Projection query = Map(
            parts,
            prefix + "q_proj",
            Role.Query,
            place.Layer,
            2 * sizes.Heads * sizes.HeadWidth,
            sizes.Hidden,
            bias);
        private readonly Projection key = Map(
            parts,
            prefix + "k_proj",
            Role.Key,
            place.Layer,
            sizes.KeyValueHeads * sizes.HeadWidth,
            sizes.Hidden,
            bias);
        private readonly Projection value = Map(
            parts,
            prefix + "v_proj",
            Role.Value,
            place.Layer,
            sizes.KeyValueHeads * sizes.HeadWidth,
            sizes.Hidden,
            bias);
        private readonly Projection output = Map(
            parts,
            prefix + "o_proj",
            Role.Output,
            place.Layer,
            sizes.Hidden,
            sizes.Heads * sizes.HeadWidth,
            bias);

        private static Projection Map(
            ModelParts parts,
            string name,
            Role role,
            int layer,
            int output,
            int input,
            bool bias) =>
            parts.Linear(
                name,
                role,
                layer,
                output,
                input,
                bias);

        internal Tensor Forward(Tensor x, Batch batch, RotaryAngles turns, KeyValueCache? cache)
        {
            Tensor Keys(Tensor of) => keyNorm.ForwardHeads(key.Forward(of).view(-1, sizes.KeyValueHeads, sizes.HeadWidth));
            Tensor Values(Tensor of) => value.Forward(of).view(-1, sizes.KeyValueHeads, sizes.HeadWidth);
            var both = query.Forward(x).view(-1, sizes.Heads, 2, sizes.HeadWidth);
            var q = turns.Apply(queryNorm.ForwardHeads(both.select(2, 0)).contiguous());
            var k = turns.Apply(Keys(x).contiguous());
            return output.Forward(place.Attend(
                batch,
                q,
                k,
                Values(x),
                cache,
                map: of => (Keys(of), Values(of))) * both.select(2, 1).reshape(x.size(0), -1).sigmoid());
        }
    }

    // Linear attention: each head keeps a matrix that decays, forgets what it holds under a key, and takes the value in its place.
    private sealed class DeltaRule
    {
        private readonly string name;
        private readonly int keyHeads, valueHeads, keyWidth, valueWidth;
        private readonly Projection[] inputs;
        private readonly Projection output;
        private readonly CausalConvolution convolution;
        private readonly Weight decay, step;
        private readonly Norm norm;

        internal DeltaRule(
            ModelParts parts,
            ConfigReader read,
            string prefix,
            int layer,
            int hidden,
            bool fused,
            double epsilon)
        {
            name = prefix;
            (keyHeads, valueHeads) = (read.Int("linear_num_key_heads", 16), read.Int("linear_num_value_heads", 32));
            (keyWidth, valueWidth) = (read.Int("linear_key_head_dim", 128), read.Int("linear_value_head_dim", 128));
            int keys = keyHeads * keyWidth, values = valueHeads * valueWidth;
            Projection Map(string of, Role role, int width) => parts.Linear(
                prefix + of,
                role,
                layer,
                width,
                hidden);
            // Qwen3-Next has them in two maps, key head by key head; Qwen 3.5 in four.
            inputs = fused
                ? [Map("in_proj_qkvz", Role.QueryKeyValue, 2 * (keys + values)), Map("in_proj_ba", Role.Router, 2 * valueHeads)]
                :
                [
                    Map("in_proj_qkv", Role.QueryKeyValue, 2 * keys + values), Map("in_proj_z", Role.Gate, values),
                    Map("in_proj_b", Role.Router, valueHeads), Map("in_proj_a", Role.Router, valueHeads),
                ];
            convolution = new CausalConvolution(
                parts,
                prefix + "conv1d",
                2 * keys + values,
                read.Int("linear_conv_kernel_dim", 4),
                bias: false);
            decay = parts.Scale(prefix + "A_log", valueHeads);
            step = parts.Scale(prefix + "dt_bias", valueHeads);
            norm = parts.Norm(NormKind.Rms, prefix + "norm", valueWidth, epsilon);
            output = parts.Linear(
                prefix + "out_proj",
                Role.Output,
                layer,
                hidden,
                values);
        }

        internal Tensor Forward(Tensor x, Batch batch, RotaryAngles turns, KeyValueCache? cache)
        {
            var (mixed, gate, b, a) = Parts(x);
            int keys = keyHeads * keyWidth, group = valueHeads / keyHeads;
            mixed = nn.functional.silu(convolution.Forward(mixed, batch, cache));
            Tensor Heads(int from) => Unit(mixed.narrow(1, from, keys).reshape(-1, keyHeads, keyWidth)).repeat_interleave(group, 1);
            Tensor query = Heads(0) * Math.Pow(keyWidth, -0.5), key = Heads(keys);
            var value = mixed.narrow(1, 2 * keys, valueHeads * valueWidth).reshape(-1, valueHeads, valueWidth);
            var fall = nn.functional.softplus(a + step.Value) * decay.Value.exp().neg();                // [tokens, valueHeads]
            var scan = DecayScan.Of(
                batch,
                cache,
                name,
                query,
                key,
                value,
                fall,
                b.sigmoid());
            return output.Forward((norm.ForwardHeads(scan) * nn.functional.silu(gate)).reshape(x.size(0), -1));
        }

        // What the convolution reads, the gate [tokens, valueHeads, width], and b and a [tokens, valueHeads].
        private (Tensor Mixed, Tensor Gate, Tensor B, Tensor A) Parts(Tensor x)
        {
            if (inputs.Length == 4)
            {
                var gate = inputs[1].Forward(x).view(-1, valueHeads, valueWidth);
                return (inputs[0].Forward(x), gate, inputs[2].Forward(x), inputs[3].Forward(x));
            }
            int group = valueHeads / keyHeads, own = group * valueWidth;
            var all = inputs[0].Forward(x).view(-1, keyHeads, 2 * keyWidth + 2 * own);
            Tensor Flat(int from, int width) => all.narrow(2, from, width).reshape(x.size(0), -1);
            var mixed = cat([Flat(0, keyWidth), Flat(keyWidth, keyWidth), Flat(2 * keyWidth, own)], 1);
            var rest = inputs[1].Forward(x).view(-1, keyHeads, 2 * group);
            return (
                mixed,
                Flat(2 * keyWidth + own, own).view(-1, valueHeads, valueWidth),
                rest.narrow(2, 0, group).reshape(-1, valueHeads),
                rest.narrow(2, group, group).reshape(-1, valueHeads));
        }

        private static Tensor Unit(Tensor x) => x * (x.square().sum(-1, keepdim: true) + 1e-6).rsqrt();
    }

    private sealed record Block(
        Norm Before,
        Func<Tensor, Batch, RotaryAngles, KeyValueCache?, Tensor> Mix,
        Norm Between,
        Func<Tensor, Tensor> FeedForward);
}
