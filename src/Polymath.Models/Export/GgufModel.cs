using Polymath.Models.Parts;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Models.Export;

/// <summary>
/// A model as llama.cpp reads it: its settings by key, its tensors by llama.cpp's names and in llama.cpp's order of rows.
/// </summary>
public sealed class GgufModel
{
    private readonly LanguageModel model;
    private readonly ConfigReader read;
    private readonly string type, architecture;
    private readonly GgufRecent recent;
    private readonly GgufGemma4? fourth;

    /// <summary>A model that is to be exported.</summary>
    /// <param name="model">The model.</param>
    /// <exception cref="Recipes.InputException">llama.cpp has no counterpart of it.</exception>
    public GgufModel(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        this.model = model;
        read = new ConfigReader(model.Configuration);
        // llama.cpp makes no difference between the two.
        type = model.Configuration["model_type"]?.ToString() switch { "mt5" => "t5", var own => own ?? "" };
        architecture = GgufNames.ArchitectureOf(type);
        recent = new GgufRecent(model, type, architecture);
        fourth = type == "gemma4_text" ? new GgufGemma4(model) : null;
        GgufFit.Check(model, type, architecture);
    }

    private GgufRope? Rope =>
        fourth is null && model.Rope is { } rope ? new GgufRope(architecture, rope, recent.Rotated, model.Sizes.ContextLength) : null;

    /// <summary>Where llama.cpp computes a little differently, one sentence each.</summary>
    public IReadOnlyList<string> Notes => Rope is { RoundsRamp: true }
        ?
        [
            "llama.cpp rounds the ramp of gpt-oss's YaRN to whole pairs of elements, which the model does not (truncate: false); its "
                + "answers differ a little, as those of llama.cpp's own conversion do.",
        ]
        : [];

    /// <summary>Adds the settings and the tensors to a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="blocks">The type of matrices; a matrix that does not fit its blocks gets a larger type.</param>
    /// <param name="name">The model's name.</param>
    public void AddTo(GgufWriter file, BlockType blocks, string name)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(blocks);
        file.Add("general.architecture", architecture);
        file.Add("general.type", "model");
        file.Add("general.name", name);
        file.Add("general.file_type", blocks.FileType);
        file.Add("general.quantization_version", 2);
        AddSizes(file);
        Rope?.AddTo(file);
        var pieces = new GgufPieces(model, type);
        var apart = model.Weights.Select(weight => (weight, Pieces: pieces.Of(weight))).Where(pair => pair.Pieces is not null).ToList();
        foreach (var piece in apart.SelectMany(pair => pair.Pieces!))
            file.Add(Tensor(piece.Name, piece.Shape, Fitting(blocks, piece.Shape, piece.Name), piece.Make));
        foreach (var group in model.Weights.Except(apart.Select(pair => pair.weight)).GroupBy(weight => GgufNames.Of(type, weight.Name)))
        {
            var (make, shape) = group.Key.EndsWith("_exps.weight", StringComparison.Ordinal)
                ? (() => stack(group.Select(Wide)), [group.Count(), .. group.First().Value.shape])
                : Placed(group.Key, group.Single());
            file.Add(Tensor(group.Key, shape, Fitting(blocks, shape, group.Key), make));
        }
        // llama.cpp always needs the head of these, and GPT-NeoX's biases.
        var head = model.Tokens.Head;
        if (type is "gpt_neox" or "olmo2" or "olmo3" or "phi" or "stablelm" or "qwen2_moe" && ReferenceEquals(head, model.Tokens.Embedding))
            file.Add(Tensor("output.weight", head.Value.shape, Fitting(blocks, head.Value.shape, "output.weight"), () => Wide(head)));
        if (type != "gpt_neox") return;
        foreach (var projection in model.Projections.Where(projection => projection.Bias is null))
            file.Add(new GgufTensor(
                GgufNames.Of(type, projection.Name + ".bias"),
                [projection.OutputWidth],
                BlockType.F32,
                () => zeros(projection.OutputWidth)));
    }

    private static Tensor Wide(Weight weight) => weight.Wide();

    private static GgufTensor Tensor(string name, long[] shape, BlockType type, Func<Tensor> make) => new(name, shape, type, () =>
    {
        var made = make();
        if (type == BlockType.F16) Float16Fit.Check(name, made, "--type bf16 or --type f32");
        return made;
    });

    private static BlockType Fitting(BlockType wanted, long[] shape, string name)
    {
        // These are small and need precision: positions, distances, the router of experts.
        if (shape.Length < 2 || name == "position_embd.weight" || name.EndsWith("attn_rel_b.weight", StringComparison.Ordinal)
            || name.EndsWith("ffn_gate_inp.weight", StringComparison.Ordinal) || name.EndsWith(".bias", StringComparison.Ordinal)
            || small.Contains(name.Split('.')[2..].FirstOrDefault() ?? ""))
            return BlockType.F32;
        // The head needs precision, and so does the table it is tied to: they have eight bits when the rest has four.
        if (wanted.Elements > 1 && name is "output.weight" or "token_embd.weight" && wanted.Bytes < wanted.Elements)
            wanted = BlockType.Q8Zero;
        if (shape[^1] % wanted.Elements == 0) return wanted;
        return shape[^1] % 32 == 0 ? BlockType.Q8Zero : BlockType.F16;
    }

    // Parts of recurrent layers that llama.cpp computes with in 32 bits.
    private static readonly string[] small = ["ssm_a", "ssm_d", "ssm_conv1d", "ssm_norm", "layer_output_scale"];

    private void AddSizes(GgufWriter file)
    {
        var sizes = model.Sizes;
        void Size(string key, int value) => file.Add($"{architecture}.{key}", value);
        Size("block_count", type == "t5" ? read.Int("num_layers") : sizes.Layers);
        Size("context_length", Context());
        Size("embedding_length", sizes.HiddenSize);
        if (fourth is not { HasOwnWidths: true })
            Size("feed_forward_length", recent.Inner
                ?? (int)(model.Projections.FirstOrDefault(projection => projection.Role == Role.Down)?.InputWidth ?? 0));
        Size("attention.head_count", type == "mamba2" ? 0 : sizes.Heads);
        // In latent attention all heads share one vector.
        if (type != "mamba2" && fourth is not { HasOwnHeads: true })
            Size("attention.head_count_kv", architecture == "deepseek2" ? 1 : sizes.KeyValueHeads);
        Size("vocab_size", sizes.VocabularySize);
        if (type is not ("gpt2" or "gpt_neox" or "bloom" or "mamba2" or "minicpm3" or "gemma4_text") && architecture != "deepseek2")
        {
            Size("attention.key_length", sizes.HeadWidth);
            Size("attention.value_length", sizes.HeadWidth);
        }
        AddEpsilon(file);
        AddOwn(file);
        recent.AddTo(file);
        fourth?.AddTo(file);
    }

    // What only some families have.
    private void AddOwn(GgufWriter file)
    {
        var sizes = model.Sizes;
        void Size(string key, int value) => file.Add($"{architecture}.{key}", value);
        void Scale(string key, double value) => file.Add($"{architecture}.{key}", (float)value);
        if (type == "cohere2") Scale("logit_scale", read.Double("logit_scale", 0.0625));
        switch (type)
        {
            case "gpt_neox":
                file.Add("gptneox.use_parallel_residual", read.Bool("use_parallel_residual", true));
                break;
            case "mixtral" or "qwen3_moe":
                Size("expert_count", read.IntOf(["num_local_experts", "num_experts"], type == "mixtral" ? 8 : 128));
                Size("expert_used_count", read.Int("num_experts_per_tok", type == "mixtral" ? 2 : 8));
                if (type == "qwen3_moe") Size("expert_feed_forward_length", read.Int("moe_intermediate_size"));
                break;
            case "gemma2":
                Size("attention.sliding_window", read.Int("sliding_window", 4096));
                file.Add("gemma2.attn_logit_softcapping", (float)read.Double("attn_logit_softcapping", 50));
                file.Add("gemma2.final_logit_softcapping", (float)read.Double("final_logit_softcapping", 30));
                break;
            case "gemma3_text" or "cohere2" or "exaone4" when read.Window(4096) is > 0 and var window:
                Size("attention.sliding_window", window);
                break;
            case "granite" or "granitemoe":
                Scale("attention.scale", read.Double("attention_multiplier", 1));
                Scale("embedding_scale", read.Double("embedding_multiplier", 1));
                Scale("residual_scale", read.Double("residual_multiplier", 1));
                Scale("logit_scale", read.Double("logits_scaling", 1));
                break;
            case "minicpm":
                Scale("embedding_scale", read.Double("scale_emb", 1));
                Scale("residual_scale", read.Double("scale_depth", 1) / Math.Sqrt(sizes.Layers));
                Scale("logit_scale", sizes.HiddenSize / read.Double("dim_model_base", 1));
                break;
            case "cohere":
                Scale("logit_scale", read.Double("logit_scale", 0.0625));
                break;
            case "stablelm":
                file.Add("stablelm.use_parallel_residual", read.Bool("use_parallel_residual", false));
                break;
            case "olmo" when read.Double("clip_qkv", 0) is > 0 and var clip:
                Scale("attention.clamp_kqv", clip);
                break;
            case "qwen2_moe":
                Size("expert_count", read.Int("num_experts", 60));
                Size("expert_used_count", read.Int("num_experts_per_tok", 4));
                Size("expert_feed_forward_length", read.Int("moe_intermediate_size"));
                Size("expert_shared_feed_forward_length", read.Int("shared_expert_intermediate_size"));
                break;
            case "t5":
                Size("decoder_block_count", sizes.Layers);
                Size("decoder_start_token_id", read.Maybe("decoder_start_token_id") ?? read.Maybe("pad_token_id") ?? 0);
                Size("attention.relative_buckets_count", read.Int("relative_attention_num_buckets", 32));
                break;
        }
    }

    private void AddEpsilon(GgufWriter file)
    {
        var (key, otherwise) = type switch
        {
            "gpt_neox" => ("layer_norm_eps", 1e-5),
            "gpt2" or "bloom" or "falcon" or "mamba2" => ("layer_norm_epsilon", 1e-5),
            "qwen" => ("layer_norm_epsilon", 1e-6),
            "t5" => ("layer_norm_epsilon", 1e-6),
            "chatglm" => ("layernorm_epsilon", 1e-5),
            "glm" or "glm4" => ("rms_norm_eps", 1.5625e-7),
            "starcoder2" => ("norm_epsilon", 1e-5),
            "phi" or "stablelm" or "cohere" or "cohere2" => ("layer_norm_eps", 1e-5),
            "olmo" => ("no_key", 1e-5),
            "phi3" or "mixtral" or "olmo2" or "olmo3" or "exaone4" or "ernie4_5" or "hunyuan_v1_dense" or "gpt_oss" or "glm4_moe"
                or "ministral3" or "llama4_text" => ("rms_norm_eps", 1e-5),
            _ => ("rms_norm_eps", 1e-6),
        };
        var whole = type is "gpt_neox" or "gpt2" or "bloom" or "starcoder2" or "phi" or "stablelm" or "cohere" or "cohere2" or "olmo"
            or "falcon";
        file.Add(
            $"{architecture}.attention.{(whole ? "layer_norm_epsilon" : "layer_norm_rms_epsilon")}",
            (float)read.Double(key, otherwise));
    }

    // llama.cpp does not support some features of long rows: sliding windows except in Gemma's layers, and a base that grows with the row.
    // Rows that are too short to need them are still computed correctly.
    private int Context()
    {
        var layers = model.Sizes.Layers;
        var slides = type is "mistral" or "mixtral" or "phi3" || read.Bool("use_sliding_window", false);
        var window = type switch
        {
            "mistral" or "qwen2" or "qwen3" =>
                read.Windows(layers, layer => slides && (type == "mistral" || layer >= (read.Maybe("max_window_layers") ?? 28)), 4096)
                    .Max(),
            "mixtral" or "phi3" or "starcoder2" => read.Window(),
            "ministral" => read.Windows(layers, _ => true, 4096).Max(),
            "ministral3" => read.Windows(layers, _ => true, 0).Max(),
            // Beyond its first context its base and its queries grow.
            "qwen" => read.Int("seq_length", 2048),
            "qwen3_moe" when slides => read.Window(4096),
            _ => 0,
        };
        var context = model.Rope is { Type: "dynamic" } rope ? (int)rope.OriginalContext : model.Sizes.ContextLength;
        return window > 0 ? Math.Min(window, context) : context;
    }

    private (Func<Tensor> Make, long[] Shape) Placed(string name, Weight weight)
    {
        var shape = weight.Shape.ToArray();
        var projection = model.Projections.FirstOrDefault(projection => ReferenceEquals(projection.Weight, weight));
        if (projection is { Transposed: true }) return (() => Wide(weight).t(), [shape[1], shape[0]]);
        var sizes = model.Sizes;
        var word = name.Split('.')[^2];
        if (word == "ffn_gate_inp_shexp") shape = [shape[1]];
        Func<Tensor> make = (word, architecture) switch
        {
            ("attn_q", "llama" or "granite" or "granitemoe" or "minicpm" or "smollm3" or "olmo" or "mistral3") =>
                () => Paired(Wide(weight), sizes.Heads),
            ("attn_k", "llama" or "granite" or "granitemoe" or "minicpm" or "smollm3" or "olmo" or "mistral3") =>
                () => Paired(Wide(weight), sizes.KeyValueHeads),
            ("ffn_gate_inp_shexp", _) => () => Wide(weight).view(-1),
            ("attn_qkv", "gptneox" or "bloom") => () => Apart(Wide(weight), sizes.Heads),
            ("attn_qkv", "chatglm") when sizes.Heads == sizes.KeyValueHeads => () => Apart(Wide(weight), sizes.Heads),
            (_, "gemma" or "gemma2" or "gemma3" or "qwen3next" or "qwen35" or "qwen35moe")
                when word.EndsWith("norm", StringComparison.Ordinal) => () => Wide(weight) + 1,
            // T5 with a tied head scales the last states down before the head, but llama.cpp does not: the last norm includes the factor.
            ("output_norm", "t5") when name.StartsWith("dec.", StringComparison.Ordinal) => () => model.Readout(Wide(weight)),
            _ => () => Wide(weight),
        };
        return (make, shape);
    }

    // Hugging Face rotates element i of a head together with element i + D/2, llama.cpp's llama with its neighbour, so the rows of a head
    // are reordered from halves to pairs.
    private static Tensor Paired(Tensor weight, int heads)
    {
        var shape = weight.shape;
        return weight.reshape([heads, 2, shape[0] / heads / 2, .. shape[1..]]).transpose(1, 2).reshape(shape);
    }

    // Query, key and value of each head are stored together; llama.cpp needs all queries first, then all keys, then all values.
    private static Tensor Apart(Tensor weight, int heads)
    {
        var shape = weight.shape;
        return weight.reshape([heads, 3, shape[0] / heads / 3, .. shape[1..]]).transpose(0, 1).reshape(shape);
    }
}
