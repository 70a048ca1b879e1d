using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// A prompt in the form of PEFT's files: one tensor with its encoder's output. The encoder, if there is one, is saved next to it, so that
/// training can continue (PEFT does not save it).
/// </summary>
public abstract class ComputedPrompt(DeltaSwitch state, int length) : SoftPrompt
{
    /// <summary>The name of the tensor in the file.</summary>
    public const string Key = "prompt_embeddings";

    /// <summary>The file next to PEFT's that holds the encoder.</summary>
    public const string EncoderFile = "prompt_encoder.safetensors";

    /// <inheritdoc/>
    public override int Length => length;

    /// <inheritdoc/>
    public override bool IsOn => state.On;

    /// <summary>The tensor in PEFT's file: [length, width of a token].</summary>
    public abstract Tensor Embeddings();

    /// <summary>The tensors in PEFT's file by their names, where an encoder computes them.</summary>
    public virtual IReadOnlyDictionary<string, Tensor> Computed() => new Dictionary<string, Tensor> { [Key] = Embeddings() };

    /// <inheritdoc/>
    public override Tensor Vectors() => Embeddings();

    /// <summary>The settings that all prompts have.</summary>
    internal static string[] Keys { get; } =
        ["num_virtual_tokens", "token_dim", "num_transformer_submodules", "num_attention_heads", "num_layers"];

    /// <summary>The number of virtual tokens.</summary>
    internal static int Tokens(DeltaParts parts) => parts.Configuration.Has("num_virtual_tokens")
        ? parts.Configuration.Whole("num_virtual_tokens", 0)
        : throw parts.Fault("num_virtual_tokens", "the number of virtual tokens is needed");

    /// <summary>
    /// The number of vectors in the file. For an encoder-decoder, PEFT makes and saves the same number for the answers, but uses only those
    /// of the source.
    /// </summary>
    internal static long Rows(DeltaParts parts) => (long)Tokens(parts)
        * (parts.Model.Reading == Reading.EncoderDecoder ? parts.Configuration.Whole("num_transformer_submodules", 2) : 1);

    /// <summary>Sets the width in a fresh prompt's settings: PEFT would guess it from the model's other widths.</summary>
    internal static void Describe(DeltaParts parts, int width, int heads)
    {
        if (!parts.IsFresh) return;
        parts.Configuration.Set("token_dim", width);
        parts.Configuration.Set("num_attention_heads", heads);
        parts.Configuration.Set("num_layers", parts.Model.Sizes.Layers);
        if (!parts.Configuration.Has("num_transformer_submodules"))
            parts.Configuration.Set("num_transformer_submodules", parts.Model.Reading == Reading.EncoderDecoder ? 2 : 1);
    }

    /// <summary>The width of a token's vector; the settings must agree with the model.</summary>
    internal static int Width(DeltaParts parts)
    {
        var width = (int)parts.Model.Tokens.Embedding.Value.size(1);
        if (parts.Configuration.Whole("token_dim", width) == width) Describe(parts, width, parts.Model.Sizes.Heads);
        return parts.Configuration.Whole("token_dim", width) == width
            ? width
            : throw parts.Fault("token_dim", $"the model's token vectors are {width} wide: the prompt was trained on another model");
    }
}

/// <summary>
/// Prompt tuning (Lester et al. 2021): the vectors of virtual tokens before a row are trained directly. They start as normal random
/// numbers, or as the vectors of given or random words.
/// </summary>
public sealed class PromptTuning : ComputedPrompt
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.PromptTuning,
        "PROMPT_TUNING",
        [.. Keys, "prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs"],
        Attach)
    {
        SizeKey = "num_virtual_tokens",
        HasSockets = false,
        Idle =
        [
            .. IdleSetting.OfPrompts,
            IdleSetting.Always("tokenizer_name_or_path", "the text is read by the model's own tokenizer; leave it out"),
            IdleSetting.Always("tokenizer_kwargs", "the text is read by the model's own tokenizer; leave it out"),
            IdleSetting.Unless("prompt_tuning_init_text", "prompt_tuning_init", "TEXT"),
        ],
    };

    private readonly Weight vectors;

    private PromptTuning(Weight vectors, int length, DeltaSwitch state)
        : base(state, length) => (this.vectors, Weights) = (vectors, [vectors]);

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override Tensor Embeddings() => vectors.Value;

    private static void Attach(DeltaParts parts)
    {
        int count = Tokens(parts), width = Width(parts);
        var start = parts.Configuration.Text("prompt_tuning_init") ?? "RANDOM";
        if (parts.IsFresh && start is not ("RANDOM" or "SAMPLE_VOCAB" or "TEXT"))
            throw parts.Fault("prompt_tuning_init", "a fresh prompt starts as \"RANDOM\", \"SAMPLE_VOCAB\" or \"TEXT\"");
        var vectors = parts.Named(Key, Start.Normal(1), [Rows(parts), width]);
        if (parts.IsFresh && start == "SAMPLE_VOCAB")
        {
            using var frozen = no_grad();
            using var scope = NewDisposeScope();
            var table = parts.Model.Tokens.Embedding.Value;
            // Each vector's own random numbers choose its initial word.
            vectors.Assign(table.index_select(0, (vectors.Value.select(1, 0).abs() * 1e6).to(ScalarType.Int64).remainder(table.size(0)))
                .to(ScalarType.Float32));
        }
        if (parts.IsFresh && start == "TEXT") StartAsText(parts, vectors);
        parts.Plug(new PromptTuning(vectors, count, parts.State));
    }

    // The text's tokens, including those that the tokenizer adds; repeated until there are enough.
    private static void StartAsText(DeltaParts parts, Weight vectors)
    {
        var text = parts.Configuration.Text("prompt_tuning_init_text") is { Length: > 0 } said
            ? said
            : throw parts.Fault("prompt_tuning_init_text", "the text that the prompt starts from is needed (prompt_tuning_init: TEXT)");
        var tokens = parts.Encode?.Invoke(text)
            ?? throw parts.Fault(
                "prompt_tuning_init",
                "a text needs the model's tokenizer, which is available when a stage trains; use \"RANDOM\" or \"SAMPLE_VOCAB\"");
        if (tokens.Length == 0) throw parts.Fault("prompt_tuning_init_text", "the tokenizer makes no token of it");
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var places = Enumerable.Range(0, (int)vectors.Shape[0]).Select(i => (long)tokens[i % tokens.Length]).ToArray();
        vectors.Assign(parts.Model.Tokens.Embedding.Value.index_select(0, tensor(places)).to(ScalarType.Float32));
        // From here on it is a prompt like any other; otherwise PEFT would need the tokenizer to initialize it again.
        parts.Configuration.Set("prompt_tuning_init", "RANDOM");
        parts.Configuration.Set("prompt_tuning_init_text", null);
    }
}
