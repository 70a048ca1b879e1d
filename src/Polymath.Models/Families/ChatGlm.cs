using System.Text.Json.Nodes;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Families;

/// <summary>
/// ChatGLM-6B, the first (Zeng et al. 2022): the prompt is read in both directions up to the token that begins an answer; rotary positions
/// are two-dimensional (place in the prompt, place in the answer); the normalised input is added back, scaled by √(2·28). Its scaling of
/// queries and keys by the layer does not change the scores.
/// </summary>
public sealed class ChatGlm : LanguageModel
{
    // √(2·layers), but the published code does not pass the number of layers to a block, so it always uses the published model's 28.
    private static readonly double alpha = Math.Sqrt(2.0 * 28);
    private readonly Block[] blocks;
    private readonly Norm norm;
    private readonly Rotary rotary;
    private readonly int begin, mask, wholeMask;
    private readonly bool twoDimensional;

    /// <summary>Builds the model from a configuration and its weights.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="source">The weights; a file source stays open as long as the model.</param>
    public ChatGlm(JsonObject configuration, WeightSource source)
        : this(configuration, new ModelParts(source, new ConfigReader(configuration).Double("initializer_range", 0.02)))
    {
    }

    private ChatGlm(JsonObject configuration, ModelParts parts)
        : base(configuration, parts)
    {
        var read = new ConfigReader(configuration);
        int hidden = read.Int("hidden_size"),
            heads = read.Int("num_attention_heads"),
            layers = read.IntOf(["num_layers", "num_hidden_layers"]),
            vocabulary = read.Int("vocab_size");
        Sizes = new ModelSizes(
            vocabulary,
            hidden,
            layers,
            heads,
            heads,
            hidden / heads,
            read.Int("max_sequence_length", 2048));
        // Both published vocabularies: 150528 with image tokens, 130528 without; each has its special tokens in its configuration, or uses
        // those of the first.
        begin = read.Maybe("bos_token_id") ?? 150004;
        mask = read.Maybe("mask_token_id") ?? 150000;
        wholeMask = read.Maybe("gmask_token_id") ?? 150001;
        twoDimensional = read.Bool("position_encoding_2d", true);
        var inner = read.Int("inner_hidden_size", 4 * hidden);
        var epsilon = read.Double("layernorm_epsilon", 1e-5);
        rotary = parts.Rotary(new RopeSettings(), twoDimensional ? Sizes.HeadWidth / 2 : Sizes.HeadWidth);
        Tokens = parts.Tokens(
            read,
            "transformer.word_embeddings.weight",
            "lm_head.weight",
            vocabulary,
            hidden);
        var activation = new Activation("gelu_new");
        blocks = new Block[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"transformer.layers.{layer}.";
            blocks[layer] = new Block(
                parts.Norm(NormKind.Layer, prefix + "input_layernorm", hidden, epsilon),
                parts.Linear(
                    prefix + "attention.query_key_value",
                    Role.QueryKeyValue,
                    layer,
                    3 * hidden,
                    hidden,
                    bias: true),
                new AttentionPlace(layer, new AttentionForm(1 / Math.Sqrt(Sizes.HeadWidth)))
                {
                    Socket = parts.Attention(prefix + "attention", layer),
                },
                parts.Linear(
                    prefix + "attention.dense",
                    Role.Output,
                    layer,
                    hidden,
                    hidden,
                    bias: true),
                parts.Norm(NormKind.Layer, prefix + "post_attention_layernorm", hidden, epsilon),
                parts.Linear(
                    prefix + "mlp.dense_h_to_4h",
                    Role.Up,
                    layer,
                    inner,
                    hidden,
                    bias: true),
                activation,
                parts.Linear(
                    prefix + "mlp.dense_4h_to_h",
                    Role.Down,
                    layer,
                    hidden,
                    inner,
                    bias: true));
        }
        norm = parts.Norm(NormKind.Layer, "transformer.final_layernorm", hidden, epsilon);
        Labels = LabelHead.Attach(
            read,
            parts,
            hidden,
            LabelPlace.Last,
            new LabelNames(["classifier_head"], "classifier", RowBias: true));
        parts.Finish();
    }

    /// <inheritdoc/>
    public override ModelSizes Sizes { get; }

    /// <inheritdoc/>
    public override int? PromptEnd => begin;

    /// <inheritdoc/>
    public override TokenTable Tokens { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> DefaultTargets { get; } = ["query_key_value"];

    /// <inheritdoc/>
    protected override Tensor States(Batch batch, KeyValueCache? cache)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var (places, steps, reach) = Places(batch, cache);
        RotaryAngles inPrompt = rotary.At(places, Device), inAnswer = rotary.At(steps, Device);
        var x = Tokens.Embed(batch.Ids);                                            // [tokens, hidden]
        x = Through(blocks, x, (block, x) =>
        {
            var y = block.Before.Forward(x);
            Tensor Heads(Tensor of) => block.QueryKeyValue.Forward(of).view(-1, Sizes.Heads, 3, Sizes.HeadWidth);
            var heads = Heads(y);
            Tensor query = Rotate(heads.select(2, 0), inPrompt, inAnswer), key = Rotate(heads.select(2, 1), inPrompt, inAnswer);
            x = y * alpha + block.Output.Forward(block.Place.Attend(
                batch,
                query,
                key,
                heads.select(2, 2),
                cache,
                reach,
                map: of => Heads(of) is var own ? (own.select(2, 1), own.select(2, 2)) : default));
            y = block.Between.Forward(x);
            x = y * alpha + block.Down.Forward(block.Activation.Forward(block.Up.Forward(y)));
            return x;
        });
        cache?.Advance(batch);
        return norm.Forward(x);
    }

    // One half of a head is rotated by the place in the prompt, the other by the place in the answer.
    private Tensor Rotate(Tensor heads, RotaryAngles inPrompt, RotaryAngles inAnswer)
    {
        if (!twoDimensional) return inPrompt.Apply(heads.contiguous());
        var halves = heads.chunk(2, -1);
        return cat([inPrompt.Apply(halves[0].contiguous()), inAnswer.Apply(halves[1].contiguous())], -1);
    }

    // A row's prompt ends before the token that begins the answer. All of the answer's tokens have the mask's place in the prompt; their
    // places in the answer count from one.
    private (int[] Places, int[] Steps, Reach? Reach) Places(Batch batch, KeyValueCache? cache)
    {
        int[] places = [.. batch.Positions], steps = new int[batch.Tokens], prefixes = new int[batch.Rows];
        for (var r = 0; r < batch.Rows; r++)
        {
            int from = batch.Offsets[r], length = batch.Offsets[r + 1] - from, slot = batch.Slots?[r] ?? 0;
            var row = batch.TokenIds.AsSpan(from, length);
            var goesOn = batch.Positions[from] > 0;
            var opened = row.IndexOf(begin) is >= 0 and var at ? at : length;
            var prefix = goesOn ? cache!.Prefixes[slot] : opened;
            // Without a mask, the answer's place is the end of the prompt.
            var masked = row.IndexOf(wholeMask) is >= 0 and var whole ? whole : row.IndexOf(mask);
            if (masked < 0) masked = prefix;
            var hole = goesOn ? cache!.Holes[slot] : masked;
            prefixes[r] = prefix;
            if (cache is not null) (cache.Prefixes[slot], cache.Holes[slot]) = (prefix, hole);
            // In one dimension, the places of an answer to the mask of a whole text simply continue.
            var fixedPlace = twoDimensional || (!goesOn && row.IndexOf(wholeMask) < 0);
            for (var i = from; i < from + length; i++)
                if (batch.Positions[i] >= prefix) (places[i], steps[i]) = (fixedPlace ? hole : places[i], batch.Positions[i] - prefix + 1);
        }
        return (places, steps, batch.StartsFresh ? Reach.Prefix(batch.Offsets, prefixes) : null);
    }

    /// <summary>The configuration of a new model.</summary>
    /// <param name="spec">The sizes that a recipe asks for.</param>
    /// <param name="vocabularySize">The tokenizer's tokens.</param>
    /// <param name="idOf">The id of a mark; null where the tokenizer does not have it.</param>
    public static JsonObject Configure(ChatGlmSpec spec, int vocabularySize, Func<string, int?> idOf)
    {
        ArgumentNullException.ThrowIfNull(spec);
        ArgumentNullException.ThrowIfNull(idOf);
        int Mark(string token) => idOf(token) ?? throw new InputException($"A new ChatGLM needs the token {token}, which its tokenizer "
            + "does not have. Let the run train the tokenizer (tokenizer: {kind: character}), or name one that has it.");
        var configuration = new JsonObject
        {
            ["architectures"] = new JsonArray("ChatGLMModel"),
            ["model_type"] = "chatglm",
            ["vocab_size"] = vocabularySize,
            ["hidden_size"] = spec.HiddenSize,
            ["inner_hidden_size"] = spec.IntermediateSize,
            ["num_layers"] = spec.Layers,
            ["num_attention_heads"] = spec.Heads,
            ["max_sequence_length"] = spec.ContextLength,
            ["layernorm_epsilon"] = 1e-5,
            ["initializer_range"] = spec.InitializerRange,
            ["position_encoding_2d"] = true,
            ["bos_token_id"] = Mark("<sop>"),
            ["eos_token_id"] = Mark("<eop>"),
            ["mask_token_id"] = Mark("[MASK]"),
            ["gmask_token_id"] = Mark("[gMASK]"),
            ["torch_dtype"] = "float32",
        };
        return (JsonObject)JsonNode.Parse(configuration.ToJsonString())!;
    }

    private sealed record Block(
        Norm Before,
        Projection QueryKeyValue,
        AttentionPlace Place,
        Projection Output,
        Norm Between,
        Projection Up,
        Activation Activation,
        Projection Down);
}
