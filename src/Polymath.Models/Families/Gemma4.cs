using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// Gemma 4 (Gemma Team 2026), the text model: layers with and without a sliding window have heads of their own width; token vectors for
/// each layer; the last layers use the keys and values of earlier ones; in the larger models experts beside the feed-forward part.
/// </summary>
public sealed class Gemma4 : LanguageModel
{
    private const string Full = "full_attention", Sliding = "sliding_attention";
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary far, near;
    private readonly Weight? perLayer;
    private readonly Projection? perLayerMap;
    private readonly Norm? perLayerNorm;
    private readonly AttentionSizes[] sizes;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public Gemma4(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private Gemma4(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var attention = AttentionSizes.Of(read, 4, 256);
        int hidden = attention.Hidden,
            inner = read.Int("intermediate_size"),
            layers = read.Int("num_hidden_layers");
        Sizes = ModelSizes.Of(read, attention, 131072);
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_activation", "gelu_pytorch_tanh"));
        if (read.Text("use_bidirectional_attention", "vision") != "vision")
            throw ConfigReader.Fault("use_bidirectional_attention", "is not \"vision\"; text read in both directions is not supported");
        var types = read.LayerTypes(layers, layer => (layer + 1) % 6 == 0 || layer == layers - 1 ? Full : Sliding, Full, Sliding);
        var windows = read.Windows(layers, layer => types[layer] == Sliding, 512);
        // Layers without a window have wider heads; where their values are their keys, they may have fewer of them.
        var equal = read.Bool("attention_k_eq_v", false);
        var wide = attention with
        {
            HeadWidth = read.Int("global_head_dim", 512),
            KeyValueHeads = equal ? read.Int("num_global_key_value_heads", attention.KeyValueHeads) : attention.KeyValueHeads,
        };
        sizes = [.. types.Select(type => type == Full ? wide.Checked() : attention)];
        far = parts.Rotary(
            read.HasRopeKinds ? read.RopeOf(Full, 1e6) : new RopeSettings(1e6) { Type = "proportional", Partial = 0.25 }, wide.HeadWidth);
        near = parts.Rotary(read.HasRopeKinds ? read.RopeOf(Sliding, 10000) : new RopeSettings(), attention.HeadWidth);
        var shared = read.Maybe("num_kv_shared_layers") ?? 0;
        var own = read.Maybe("hidden_size_per_layer_input") ?? (read.Has("hidden_size_per_layer_input") ? 0 : 256);
        if (shared >= layers) throw ConfigReader.Fault("num_kv_shared_layers", $"is {shared} of {layers} layers");
        var table = parts.Tokens(read, Sizes, tied: true);
        Tokens = new TokenTable(table.Embedding, table.Head, table.HeadMap.Name)
        {
            SoftCap = read.Double("final_logit_softcapping", 0), Scale = Math.Sqrt(hidden),
        };
        if (own > 0)
        {
            perLayer = parts.Table("model.embed_tokens_per_layer.weight", read.Int("vocab_size_per_layer_input", 262144), layers * own);
            perLayerMap = parts.Linear(
                "model.per_layer_model_projection",
                Role.Head,
                -1,
                layers * own,
                hidden);
            perLayerNorm = parts.Norm(NormKind.Rms, "model.per_layer_projection_norm", own, epsilon);
        }
        var doubles = read.Bool("use_double_wide_mlp", false);
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            // A sharing layer takes the keys and values of the last layer of its kind that has its own.
            var source = layer < layers - shared ? layer : Array.FindLastIndex(types, layers - shared - 1, type => type == types[layer]);
            if (source < 0) throw ConfigReader.Fault("num_kv_shared_layers", $"leaves layer {layer} no layer of its kind to share with");
            blocks[layer] = new Block(
                parts,
                read,
                new Place(
                    layer,
                    source,
                    types[layer] == Full,
                    windows[layer],
                    equal && types[layer] == Full),
                sizes[layer],
                layer != source && doubles ? 2 * inner : inner,
                own,
                activation,
                epsilon);
        }
        norm = parts.Norm(NormKind.Rms, "model.norm", hidden, epsilon);
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
    public override bool TakesPrefix =>
        Array.TrueForAll(sizes, layer => (layer.KeyValueHeads, layer.HeadWidth) == (Sizes.KeyValueHeads, Sizes.HeadWidth));

    /// <inheritdoc/>
    public override KeyValueCache NewCache(int slots, int capacity) =>
        new([.. sizes.Select(layer => (layer.KeyValueHeads, layer.HeadWidth))], slots, capacity);

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        RotaryAngles wide = far.At(batch.Positions, Device), local = near.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        var vectors = PerLayer(batch, x);                                           // [tokens, layers, own], or null
        var kept = new Dictionary<int, (Tensor Key, Tensor Value)>();
        foreach (var block in blocks)
        {
            var turns = block.IsFull ? wide : local;
            var own = vectors?.select(1, block.Layer);
            // A layer whose keys others use gives more than one result, so it is not computed again in the backward pass.
            if (!block.Shares && Array.Exists(blocks, other => other.Shares && other.Source == block.Layer))
            {
                x = block.Forward(
                    x,
                    own,
                    batch,
                    turns,
                    cache,
                    kept);
                continue;
            }
            // Whatever a block reads of others goes in as an input, so that gradients come back through it.
            Tensor[] others = block.Shares ? [kept[block.Source].Key, kept[block.Source].Value] : [], vector = own is null ? [] : [own];
            x = Through([x, .. others, .. vector], given => block.Forward(
                given[0],
                own is null ? null : given[^1],
                batch,
                turns,
                cache,
                block.Shares ? new() { [block.Source] = (given[1], given[2]) } : []));
        }
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    // Each layer has a vector of a token of its own: half from a table, half from the token's common vector.
    private Tensor? PerLayer(Batch batch, Tensor x)
    {
        if (perLayer is null) return null;
        var width = perLayerNorm!.Weight!.Shape[0];
        var ids = batch.Ids.clamp(max: perLayer.Shape[0] - 1);
        var looked = perLayer.Value.index_select(0, ids).to(ScalarType.Float32).view(x.size(0), -1, width) * Math.Sqrt(width);
        var mapped = (perLayerMap!.Forward(x) * Math.Pow(Sizes.HiddenSize, -0.5)).view(x.size(0), -1, width);
        return (looked + perLayerNorm.ForwardHeads(mapped)) * Math.Sqrt(0.5);
    }

    private sealed record Place(
        int Layer,
        int Source,
        bool IsFull,
        int Window,
        bool ValuesAreKeys);

    private sealed class Block
    {
        private readonly AttentionSizes sizes;
        private readonly AttentionPlace place;
        private readonly Projection query, output;
        private readonly Projection? key, value, perLayerGate, perLayerMap;
        private readonly Norm queryNorm, valueNorm, before, after, beforeFeed, afterFeed;
        private readonly Norm? keyNorm, perLayerNorm, afterDense, beforeExperts, afterExperts;
        private readonly GatedFeedForward feed;
        private readonly Experts? experts;
        private readonly Activation activation;
        private readonly Weight scalar;

        internal Block(
            ModelParts parts,
            ConfigReader read,
            Place at,
            AttentionSizes sizes,
            int inner,
            int own,
            Activation activation,
            double epsilon)
        {
            (this.sizes, this.activation, Layer, Source, IsFull) = (sizes, activation, at.Layer, at.Source, at.IsFull);
            var prefix = $"model.layers.{at.Layer}.";
            place = new AttentionPlace(at.Source, new AttentionForm(1), at.Window)
            {
                // A layer that takes the keys and values of another has no maps for them.
                Socket = Shares ? null : parts.Attention(prefix + "self_attn", at.Layer),
            };
            int hidden = sizes.Hidden, width = sizes.HeadWidth;
            var bias = read.Bool("attention_bias", false);
            Norm Scale(string name, int of) => parts.Norm(NormKind.Rms, prefix + name, of, epsilon);
            Projection Map(
                string name,
                Role role,
                int output,
                int input,
                bool bias = false) => parts.Linear(
                    prefix + name,
                    role,
                    at.Layer,
                    output,
                    input,
                    bias);
            before = Scale("input_layernorm", hidden);
            query = Map(
                "self_attn.q_proj",
                Role.Query,
                sizes.Heads * width,
                hidden,
                bias);
            queryNorm = Scale("self_attn.q_norm", width);
            valueNorm = new Norm(NormKind.Rms, null, null, epsilon);
            if (!Shares)
            {
                key = Map(
                    "self_attn.k_proj",
                    Role.Key,
                    sizes.KeyValueHeads * width,
                    hidden,
                    bias);
                keyNorm = Scale("self_attn.k_norm", width);
                value = at.ValuesAreKeys ? null : Map(
                    "self_attn.v_proj",
                    Role.Value,
                    sizes.KeyValueHeads * width,
                    hidden,
                    bias);
            }
            output = Map(
                "self_attn.o_proj",
                Role.Output,
                hidden,
                sizes.Heads * width,
                bias);
            after = Scale("post_attention_layernorm", hidden);
            beforeFeed = Scale("pre_feedforward_layernorm", hidden);
            feed = GatedFeedForward.Apart(
                parts,
                prefix + "mlp.",
                at.Layer,
                hidden,
                inner,
                activation);
            if (read.Bool("enable_moe_block", false))
            {
                afterDense = Scale("post_feedforward_layernorm_1", hidden);
                beforeExperts = Scale("pre_feedforward_layernorm_2", hidden);
                experts = Mixture(
                    parts,
                    read,
                    prefix,
                    at.Layer,
                    hidden,
                    activation,
                    epsilon);
                afterExperts = Scale("post_feedforward_layernorm_2", hidden);
            }
            afterFeed = Scale("post_feedforward_layernorm", hidden);
            if (own > 0)
            {
                perLayerGate = Map("per_layer_input_gate", Role.Gate, own, hidden);
                perLayerMap = Map("per_layer_projection", Role.Down, hidden, own);
                perLayerNorm = Scale("post_per_layer_input_norm", hidden);
            }
            scalar = parts.Fixed(prefix + "layer_scalar", one: true, 1);
        }

        internal int Layer { get; }

        internal int Source { get; }

        internal bool IsFull { get; }

        internal bool Shares => Source != Layer;

        internal Tensor Forward(
            Tensor x,
            Tensor? own,
            Batch batch,
            RotaryAngles turns,
            KeyValueCache? cache,
            Dictionary<int, (Tensor Key, Tensor Value)> kept)
        {
            x = x + after.Forward(Attention(
                before.Forward(x),
                batch,
                turns,
                cache,
                kept));
            var fed = feed.Forward(beforeFeed.Forward(x));
            // The router and the experts read the stream itself, beside the feed-forward part.
            if (experts is not null) fed = afterDense!.Forward(fed) + afterExperts!.Forward(experts.Forward(beforeExperts!.Forward(x), x));
            x = x + afterFeed.Forward(fed);
            if (own is not null) x = x + perLayerNorm!.Forward(perLayerMap!.Forward(activation.Gate(perLayerGate!.Forward(x), own)));
            return x * scalar.Value;
        }

        private Tensor Attention(
            Tensor x,
            Batch batch,
            RotaryAngles turns,
            KeyValueCache? cache,
            Dictionary<int, (Tensor Key, Tensor Value)> kept)
        {
            Tensor Heads(Tensor of, int heads) => of.view(-1, heads, sizes.HeadWidth);
            var q = turns.Apply(queryNorm.ForwardHeads(Heads(query.Forward(x), sizes.Heads)));
            (Tensor Key, Tensor Value) KeysAndValues(Tensor of)
            {
                var raw = Heads(key!.Forward(of), sizes.KeyValueHeads);
                var v = value is null ? raw : Heads(value.Forward(of), sizes.KeyValueHeads);
                return (keyNorm!.ForwardHeads(raw), valueNorm.ForwardHeads(v));
            }
            if (!Shares)
            {
                var (own, v) = KeysAndValues(x);
                kept[Layer] = (turns.Apply(own), v);
            }
            var (keys, values) = kept[Source];
            return output.Forward(place.Attend(
                batch,
                q,
                keys,
                values,
                cache,
                map: KeysAndValues));
        }

        private static Experts Mixture(
            ModelParts parts,
            ConfigReader read,
            string prefix,
            int layer,
            int hidden,
            Activation activation,
            double epsilon)
        {
            int count = read.Int("num_experts"), inner = read.Int("moe_intermediate_size"), chosen = read.Int("top_k_experts", 1);
            var router = parts.Linear(
                prefix + "router.proj",
                Role.Router,
                layer,
                count,
                hidden);
            Weight scale = parts.Scale(prefix + "router.scale", hidden), each = parts.Scale(prefix + "router.per_expert_scale", count);
            var stack = ExpertStack.Of(
                parts,
                prefix + "experts.",
                layer,
                (count, hidden, inner),
                ExpertStack.Halves(activation));
            var plain = new Norm(NormKind.Rms, null, null, epsilon);
            var choose = Routing.Softmax(router, chosen, renormalise: true);
            return new Experts(
                (layer, parts.Routers),
                x =>
                {
                    var routed = choose(plain.Forward(x) * scale.Value * Math.Pow(hidden, -0.5));
                    var own = each.Value.index_select(0, routed.Indices.flatten()).view(routed.Indices.shape);
                    return routed with { Weights = routed.Weights * own };
                },
                stack);
        }
    }
}
