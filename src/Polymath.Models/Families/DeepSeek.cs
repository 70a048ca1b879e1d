using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// DeepSeek V2 and V3 (DeepSeek-AI 2024): keys and values come from one narrow latent vector, queries may too; part of each head has
/// rotary positions; after the first layers a mixture of experts that are chosen within groups, with shared experts. MiniCPM 3 has
/// the same attention, without experts, and factors of its vectors, branches and logits.
/// </summary>
public sealed class DeepSeek : LanguageModel
{
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly AttentionForm form;
    private readonly int nope, rope, valueWidth, latent;
    private readonly double branch, shrinks;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public DeepSeek(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private DeepSeek(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        var type = read.Text("model_type", "deepseek_v3");
        bool mini = type == "minicpm3", third = type == "deepseek_v3" || mini;
        int hidden = read.Int("hidden_size"),
            heads = read.Int("num_attention_heads"),
            inner = read.Int("intermediate_size"),
            vocabulary = read.Int("vocab_size"),
            layers = read.Int("num_hidden_layers"),
            narrow = read.Maybe("q_lora_rank") ?? 0;
        nope = read.Int("qk_nope_head_dim", 128);
        rope = read.Int("qk_rope_head_dim", 64);
        valueWidth = read.Int("v_head_dim", mini ? hidden / heads : 128);
        branch = mini ? read.Double("scale_depth", 1) / Math.Sqrt(layers) : 1;
        shrinks = mini ? hidden / read.Double("dim_model_base", 1) : 1;
        latent = read.Int("kv_lora_rank", 512);
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            Math.Max(nope + rope, valueWidth),
            read.Int("max_position_embeddings", third && !mini ? 4096 : 2048));
        var epsilon = read.Double("rms_norm_eps", 1e-6);
        var activation = new Activation(read.Text("hidden_act", "silu"));
        var settings = read.Rope();
        rotary = parts.Rotary(settings, rope, interleaved: !third || !mini && read.Bool("rope_interleave", true));
        // With YaRN, scores are scaled too, as DeepSeek's own code has it (transformers leaves it out for V2).
        var all = settings.Type == "yarn" ? read.OfRope("mscale_all_dim", 0) : 0;
        var stretch = all > 0 && settings.Factor > 1 ? 0.1 * all * Math.Log(settings.Factor) + 1 : 1;
        form = new AttentionForm(stretch * stretch / Math.Sqrt(nope + rope));
        var bias = read.Bool("attention_bias", false);
        var first = third ? 3 : 0;
        int dense = mini ? layers : read.Maybe("first_k_dense_replace") ?? first, step = read.Int("moe_layer_freq", 1);
        var groups = GroupsOf(read, third);
        var table = parts.Tokens(
            read,
            "model.embed_tokens.weight",
            "lm_head.weight",
            vocabulary,
            hidden,
            tied: mini);
        Tokens = mini
            ? new TokenTable(table.Embedding, table.Head, table.HeadMap.Name) { Scale = read.Double("scale_emb", 1) }
            : table;
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var own = prefix + "self_attn.";
            Projection Map(
                string name,
                Role role,
                int output,
                int input,
                bool bias = false) => parts.Linear(
                    own + name,
                    role,
                    layer,
                    output,
                    input,
                    bias);
            blocks[layer] = new Block(
                parts.Norm(NormKind.Rms, prefix + "input_layernorm", hidden, epsilon),
                narrow > 0 ? Map(
                    "q_a_proj",
                    Role.Query,
                    narrow,
                    hidden,
                    bias) : null,
                narrow > 0 ? parts.Norm(NormKind.Rms, own + "q_a_layernorm", narrow, 1e-6) : null,
                Map(narrow > 0 ? "q_b_proj" : "q_proj", Role.Query, heads * (nope + rope), narrow > 0 ? narrow : hidden),
                Map(
                    "kv_a_proj_with_mqa",
                    Role.Key,
                    latent + rope,
                    hidden,
                    bias),
                parts.Norm(NormKind.Rms, own + "kv_a_layernorm", latent, 1e-6),
                Map("kv_b_proj", Role.Value, heads * (nope + valueWidth), latent),
                new AttentionPlace(layer, form) { Socket = parts.Attention(prefix + "self_attn", layer) },
                Map(
                    "o_proj",
                    Role.Output,
                    hidden,
                    heads * valueWidth,
                    bias),
                parts.Norm(NormKind.Rms, prefix + "post_attention_layernorm", hidden, epsilon),
                layer < dense || layer % step != 0
                    ? GatedFeedForward.Apart(
                        parts,
                        prefix + "mlp.",
                        layer,
                        hidden,
                        inner,
                        activation,
                        !third && read.Bool("mlp_bias", false)).Forward
                    : GroupedMixture.Of(
                        parts,
                        read,
                        prefix + "mlp.",
                        layer,
                        hidden,
                        groups,
                        activation,
                        softmax: !third));
        }
        norm = parts.Norm(NormKind.Rms, "model.norm", hidden, epsilon);
        Labels = LabelHead.Attach(read, parts, hidden, LabelPlace.Last);
        parts.Finish($@"model\.layers\.{layers}\..*");
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets =>
        blocks[0].QueryLatent is null ? ["q_proj", "kv_b_proj"] : ["q_b_proj", "kv_b_proj"];

    /// <inheritdoc/>
    public override KeyValueCache NewCache(int slots, int capacity) => IsSmall
        ? new KeyValueCache([.. Enumerable.Repeat((1, latent + rope), Sizes.Layers)], slots, capacity)
        : base.NewCache(slots, capacity);

    /// <inheritdoc/>
    public override Tensor Readout(Tensor hidden) => shrinks == 1 ? hidden : hidden / shrinks;

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var turns = rotary.At(batch.Positions, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            Tensor Part(Tensor of) => branch == 1 ? of : of * branch;
            x = x + Part(Attention(
                block,
                block.Before.Forward(x),
                batch,
                turns,
                cache));
            return x + Part(block.FeedForward(block.Between.Forward(x)));
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    private static ExpertGroups GroupsOf(ConfigReader read, bool third)
    {
        var method = read.Text("topk_method", third ? "noaux_tc" : "greedy");
        if (method != "noaux_tc" && third || !third && method is not ("greedy" or "group_limited_greedy"))
            throw ConfigReader.Fault("topk_method", $"is \"{method}\", which is not supported for this family");
        if (third) read.Expect("scoring_func", "sigmoid");
        else read.Expect("scoring_func", "softmax");
        var limited = third || method == "group_limited_greedy";
        var chosen = read.Int("num_experts_per_tok", third ? 8 : 6);
        // V2 leaves a single weight as it is, and scales the weights only where they are not brought to a sum of one.
        var renormalise = read.Bool("norm_topk_prob", third) && (third || chosen > 1);
        var scale = read.Double("routed_scaling_factor", third ? 2.5 : 1);
        int groups = read.Int("n_group", third ? 8 : 1), kept = read.Int("topk_group", third ? 4 : 1);
        return new ExpertGroups(
            limited ? groups : 1,
            limited ? kept : 1,
            chosen,
            renormalise,
            third || !renormalise ? scale : 1);
    }

    private Tensor Attention(
        Block block,
        Tensor x,
        Batch batch,
        RotaryAngles turns,
        KeyValueCache? cache)
    {
        int heads = Sizes.Heads, width = Sizes.HeadWidth;
        var asked = block.QueryLatent is null ? x : block.QueryNorm!.Forward(block.QueryLatent.Forward(x));
        var query = block.Query.Forward(asked).view(-1, heads, nope + rope);                            // [tokens, heads, nope + rope]
        var shared = block.Latent.Forward(x);                                                           // [tokens, latent + rope]
        var vectors = block.LatentNorm.Forward(shared.narrow(1, 0, latent).contiguous());
        var turned = turns.Apply(shared.narrow(1, latent, rope).unsqueeze(1).contiguous());
        query = cat([query.narrow(2, 0, nope), turns.Apply(query.narrow(2, nope, rope).contiguous())], -1);
        if (cache is not null && IsSmall)
        {
            var kept = cat([vectors.unsqueeze(1), turned], -1);
            cache.Put(block.Place.Layer, batch, kept, kept);
            if (!batch.StartsFresh) return block.Output.Forward(Added(OverLatents(block, query, batch, cache)));
            cache = null;
        }
        var both = block.Unfold.Forward(vectors).view(-1, heads, nope + valueWidth);
        var key = cat([both.narrow(2, 0, nope), turned.expand(-1, heads, -1)], -1);
        var value = both.narrow(2, nope, valueWidth);
        // The kernels take queries, keys and values of one width; what is added to the narrower ones are zeros.
        Tensor Wide(Tensor of) => of.size(2) == width ? of : nn.functional.pad(of, [0, width - of.size(2)]);
        var mixed = block.Place.Attend(
            batch,
            Wide(query),
            Wide(key),
            Wide(value),
            cache).view(-1, heads, width).narrow(2, 0, valueWidth);
        return block.Output.Forward(Added(mixed.reshape(-1, heads * valueWidth)));

        Tensor Added(Tensor seen) => block.Place.Socket!.Add(seen, query, of => KeysAndValues(block, of));
    }

    // Keys and values of vectors [n, hidden] without a position.
    private (Tensor Key, Tensor Value) KeysAndValues(Block block, Tensor of)
    {
        var shared = block.Latent.Forward(of);
        var both = block.Unfold.Forward(block.LatentNorm.Forward(shared.narrow(1, 0, latent).contiguous()))
            .view(-1, Sizes.Heads, nope + valueWidth);
        var common = shared.narrow(1, latent, rope).unsqueeze(1).expand(-1, Sizes.Heads, -1);
        return (cat([both.narrow(2, 0, nope), common], -1), both.narrow(2, nope, valueWidth));
    }

    // The cache holds the latent vectors, and one turned part of keys that all heads share. A prefix gives whole keys and values instead.
    private bool IsSmall => Prompt is not { GivesKeysAndValues: true };

    // Attention of continuing tokens over cached latent vectors: the map from them to keys is applied to the query, the map to values to
    // what was mixed, so that no cached token is unfolded (DeepSeek-V2, section 2.1.2). A map with deltas unfolds them.
    private Tensor OverLatents(Block block, Tensor query, Batch batch, KeyValueCache cache)
    {
        var heads = Sizes.Heads;
        var plain = block.Unfold.Deltas.Count == 0 ? block.Unfold.Matrix().view(heads, nope + valueWidth, latent) : null;
        var rows = new List<Tensor>();
        for (var r = 0; r < batch.Rows; r++)
        {
            int start = batch.Offsets[r], length = batch.Offsets[r + 1] - start;
            var kept = cache.Row(block.Place.Layer, batch, r).Keys.squeeze(1);                          // [places, latent + rope]
            Tensor vectors = kept.narrow(1, 0, latent), turned = kept.narrow(1, latent, rope);
            var own = query.narrow(0, start, length).transpose(0, 1);                                   // [heads, tokens, nope + rope]
            var near = own.narrow(2, 0, nope);
            var both = plain is null
                ? block.Unfold.Forward(vectors.contiguous()).view(-1, heads, nope + valueWidth).transpose(0, 1)
                : null;
            var scores = both is null
                ? nn.functional.linear(near.bmm(plain!.narrow(1, 0, nope)), vectors)
                : near.bmm(both.narrow(2, 0, nope).transpose(1, 2));
            scores = (scores + nn.functional.linear(own.narrow(2, nope, rope), turned)) * form.Scale;     // [heads, tokens, places]
            using var places = arange(kept.size(0), device: query.device);
            using var at = tensor(batch.Positions.AsSpan(start, length).ToArray(), device: query.device).unsqueeze(1);
            var shares = scores.masked_fill(places.gt(at), float.NegativeInfinity).softmax(-1);
            var mixed = both is null
                ? nn.functional.linear(shares, vectors.t()).bmm(plain!.narrow(1, nope, valueWidth).transpose(1, 2))
                : shares.bmm(both.narrow(2, nope, valueWidth));
            rows.Add(mixed.transpose(0, 1));
        }
        return cat(rows, 0).reshape(query.size(0), -1);
    }

    private sealed record Block(
        Norm Before,
        Projection? QueryLatent,
        Norm? QueryNorm,
        Projection Query,
        Projection Latent,
        Norm LatentNorm,
        Projection Unfold,
        AttentionPlace Place,
        Projection Output,
        Norm Between,
        Func<Tensor, Tensor> FeedForward);
}
