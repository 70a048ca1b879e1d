using System.Text.RegularExpressions;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Models.Export;

/// <summary>A model as llama.cpp reads it: its settings by key, its tensors by llama.cpp's names and in llama.cpp's order of rows.</summary>
public sealed partial class GgufModel
{
    // A model type's name in llama.cpp.
    static readonly Dictionary<string, string> architectures = new(StringComparer.Ordinal)
    {
        ["llama"] = "llama", ["mistral"] = "llama", ["qwen2"] = "qwen2", ["qwen3"] = "qwen3", ["gemma2"] = "gemma2", ["phi3"] = "phi3", ["gpt2"] = "gpt2", ["gpt_neox"] = "gptneox", ["bloom"] = "bloom",
    };

    // A part of a name in Hugging Face's files and in llama.cpp's. Gemma 2 has more norms and its own words for them.
    static readonly Dictionary<string, string> words = new(StringComparer.Ordinal)
    {
        ["model.embed_tokens"] = "token_embd", ["transformer.wte"] = "token_embd", ["gpt_neox.embed_in"] = "token_embd", ["transformer.word_embeddings"] = "token_embd",
        ["transformer.word_embeddings_layernorm"] = "token_embd_norm", ["transformer.wpe"] = "position_embd", ["model.norm"] = "output_norm", ["transformer.ln_f"] = "output_norm",
        ["gpt_neox.final_layer_norm"] = "output_norm", ["lm_head"] = "output", ["embed_out"] = "output", ["input_layernorm"] = "attn_norm", ["ln_1"] = "attn_norm", ["post_attention_layernorm"] = "ffn_norm",
        ["ln_2"] = "ffn_norm", ["self_attn.q_proj"] = "attn_q", ["self_attn.k_proj"] = "attn_k", ["self_attn.v_proj"] = "attn_v", ["self_attn.o_proj"] = "attn_output", ["self_attn.qkv_proj"] = "attn_qkv",
        ["self_attn.q_norm"] = "attn_q_norm", ["self_attn.k_norm"] = "attn_k_norm", ["attn.c_attn"] = "attn_qkv", ["attn.c_proj"] = "attn_output", ["attention.query_key_value"] = "attn_qkv",
        ["attention.dense"] = "attn_output", ["self_attention.query_key_value"] = "attn_qkv", ["self_attention.dense"] = "attn_output", ["mlp.gate_proj"] = "ffn_gate", ["mlp.up_proj"] = "ffn_up",
        ["mlp.down_proj"] = "ffn_down", ["mlp.gate_up_proj"] = "ffn_up", ["mlp.c_fc"] = "ffn_up", ["mlp.c_proj"] = "ffn_down", ["mlp.dense_h_to_4h"] = "ffn_up", ["mlp.dense_4h_to_h"] = "ffn_down",
    };

    static readonly Dictionary<string, string> gemmaWords = new(StringComparer.Ordinal)
    {
        ["post_attention_layernorm"] = "post_attention_norm", ["pre_feedforward_layernorm"] = "ffn_norm", ["post_feedforward_layernorm"] = "post_ffw_norm",
    };

    readonly LanguageModel model;
    readonly ConfigReader read;
    readonly string type, architecture;
    readonly RopeSettings rope;

    /// <summary>A model that is to be exported.</summary>
    /// <param name="model">The model.</param>
    /// <exception cref="InputException">llama.cpp has no counterpart of it.</exception>
    public GgufModel(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        this.model = model;
        read = new ConfigReader(model.Configuration);
        type = model.Configuration["model_type"]?.ToString() ?? "";
        architecture = architectures.GetValueOrDefault(type) ?? throw new InputException($"A model of the type '{type}' cannot be exported to GGUF; known are {string.Join(", ", architectures.Keys)}.");
        if (model.Labels is not null) throw new InputException("A model with a head over labels cannot be exported to GGUF; export the language model.");
        rope = read.Rope();
        if (rope.Type is not ("default" or "linear" or "llama3")) throw new InputException($"Rotary positions of the type '{rope.Type}' cannot be exported to GGUF yet; known are default, linear and llama3.");
        if (type is "qwen2" or "qwen3" && read.Bool("use_sliding_window", false)) throw new InputException("llama.cpp knows no window in Qwen's layers: use_sliding_window is true in config.json. Set it to false if rows stay shorter than the window.");
        if (type == "gpt2" && (read.Bool("scale_attn_by_inverse_layer_idx", false) || !read.Bool("scale_attn_weights", true))) throw new InputException("llama.cpp scales GPT-2's attention by the width alone; this config.json asks for another scale.");
        var activation = type switch { "gpt2" => read.Text("activation_function", "gelu_new"), "gpt_neox" => read.Text("hidden_act", "gelu"), "bloom" => "gelu", "gemma2" => read.Text("hidden_activation", "gelu_pytorch_tanh"), _ => read.Text("hidden_act", "silu") };
        var known = type switch { "gpt2" or "gpt_neox" or "bloom" or "gemma2" => activation.StartsWith("gelu", StringComparison.Ordinal), _ => activation == "silu" };
        if (!known) throw new InputException($"llama.cpp's {architecture} has another activation than '{activation}'.");
    }

    /// <summary>Adds the settings and the tensors to a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="blocks">The type of matrices; what does not fit its blocks gets a larger type.</param>
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
        AddRope(file);
        var quantised = blocks.Elements > 1;
        foreach (var weight in model.Weights)
        {
            var (target, make, shape) = Placed(weight);
            // The head tells fine differences, and so does the table it is tied to: they keep eight bits where the rest has four.
            var own = quantised && target is "output.weight" or "token_embd.weight" && blocks.Bytes < blocks.Elements ? BlockType.Q8Zero : blocks;
            file.Add(new GgufTensor(target, shape, Fitting(own, shape, target), make));
        }
        // llama.cpp wants GPT-NeoX's head in any case.
        if (type == "gpt_neox" && ReferenceEquals(model.Tokens.Head, model.Tokens.Embedding))
            file.Add(new GgufTensor("output.weight", model.Tokens.Head.Value.shape, Fitting(quantised ? BlockType.Q8Zero : blocks, model.Tokens.Head.Value.shape, "output.weight"), () => Wide(model.Tokens.Head)));
    }

    static Tensor Wide(Weight weight) => weight.Value.detach().to(ScalarType.Float32);

    static BlockType Fitting(BlockType wanted, long[] shape, string name)
    {
        if (shape.Length < 2 || name == "position_embd.weight") return BlockType.F32;
        if (shape[^1] % wanted.Elements == 0) return wanted;
        return shape[^1] % 32 == 0 ? BlockType.Q8Zero : BlockType.F16;
    }

    void AddSizes(GgufWriter file)
    {
        var sizes = model.Sizes;
        // llama.cpp does not slide in Mistral's layers: a row is right as long as a window holds it.
        var context = type == "mistral" && read.Maybe("sliding_window") is { } window ? Math.Min(window, sizes.ContextLength) : sizes.ContextLength;
        void Size(string key, int value) => file.Add($"{architecture}.{key}", value);
        Size("block_count", sizes.Layers);
        Size("context_length", context);
        Size("embedding_length", sizes.HiddenSize);
        Size("feed_forward_length", FeedForwardLength());
        Size("attention.head_count", sizes.Heads);
        Size("attention.head_count_kv", sizes.KeyValueHeads);
        Size("vocab_size", sizes.VocabularySize);
        if (type is not ("gpt2" or "gpt_neox" or "bloom"))
        {
            Size("attention.key_length", sizes.HeadWidth);
            Size("attention.value_length", sizes.HeadWidth);
            file.Add($"{architecture}.attention.layer_norm_rms_epsilon", (float)read.Double("rms_norm_eps", type == "phi3" ? 1e-5 : 1e-6));
        }
        else
        {
            file.Add($"{architecture}.attention.layer_norm_epsilon", (float)read.Double(type == "gpt_neox" ? "layer_norm_eps" : "layer_norm_epsilon", 1e-5));
        }
        if (type == "gpt_neox") file.Add("gptneox.use_parallel_residual", read.Bool("use_parallel_residual", true));
        if (type == "phi3") Size("attention.sliding_window", read.Maybe("sliding_window") ?? 0);
        if (type != "gemma2") return;
        Size("attention.sliding_window", read.Int("sliding_window", 4096));
        file.Add("gemma2.attn_logit_softcapping", (float)read.Double("attn_logit_softcapping", 50));
        file.Add("gemma2.final_logit_softcapping", (float)read.Double("final_logit_softcapping", 30));
    }

    int FeedForwardLength()
    {
        var down = model.Projections.First(projection => projection.Role == Role.Down);
        return (int)down.InputWidth;
    }

    void AddRope(GgufWriter file)
    {
        if (type is "gpt2" or "bloom") return;
        var turned = (int)(model.Sizes.HeadWidth * (type == "gpt_neox" ? read.Rope(partial: read.Double("rotary_pct", 0.25)).Partial : rope.Partial));
        file.Add($"{architecture}.rope.dimension_count", turned);
        file.Add($"{architecture}.rope.freq_base", (float)rope.Theta);
        if (type == "phi3") file.Add("phi3.rope.scaling.original_context_length", read.Int("original_max_position_embeddings", model.Sizes.ContextLength));
        if (rope.Type == "linear")
        {
            file.Add($"{architecture}.rope.scaling.type", "linear");
            file.Add($"{architecture}.rope.scaling.factor", (float)rope.Factor);
        }
        if (rope.Type != "llama3") return;
        // What each frequency is divided by.
        var (stretched, _) = rope.For(turned, model.Sizes.ContextLength);
        var factors = stretched.Select((frequency, i) => (float)(Math.Pow(rope.Theta, -2.0 * i / turned) / frequency)).ToArray();
        file.Add(new GgufTensor("rope_freqs.weight", [factors.Length], BlockType.F32, () => tensor(factors)));
    }

    (string Name, Func<Tensor> Make, long[] Shape) Placed(Weight weight)
    {
        var match = Block().Match(weight.Name);
        var (place, part) = match.Success ? ($"blk.{match.Groups["layer"].Value}.", match.Groups["part"].Value) : ("", weight.Name);
        var cut = part.LastIndexOf('.');
        var (module, kind) = (part[..cut], part[cut..]);
        var word = (type == "gemma2" ? gemmaWords.GetValueOrDefault(module) : null) ?? words.GetValueOrDefault(module) ?? throw new InputException($"llama.cpp's {architecture} has no counterpart of {weight.Name}.");
        var shape = weight.Value.shape;
        var projection = model.Projections.FirstOrDefault(projection => ReferenceEquals(projection.Weight, weight));
        if (projection is { Transposed: true }) return (place + word + kind, () => Wide(weight).t(), [shape[1], shape[0]]);
        Func<Tensor> make = (word, architecture) switch
        {
            ("attn_q", "llama") => () => Paired(Wide(weight), model.Sizes.Heads),
            ("attn_k", "llama") => () => Paired(Wide(weight), model.Sizes.KeyValueHeads),
            ("attn_qkv", "gptneox" or "bloom") => () => Apart(Wide(weight), model.Sizes.Heads),
            (_, "gemma2") when word.EndsWith("norm", StringComparison.Ordinal) => () => Wide(weight) + 1,
            _ => () => Wide(weight),
        };
        return (place + word + kind, make, shape);
    }

    // Hugging Face turns element i of a head with element i + D/2, llama.cpp's llama with its neighbour: rows of a head are reordered from halves to pairs.
    static Tensor Paired(Tensor weight, int heads)
    {
        var shape = weight.shape;
        return weight.reshape([heads, 2, shape[0] / heads / 2, .. shape[1..]]).transpose(1, 2).reshape(shape);
    }

    // Query, key and value of each head lie together; llama.cpp wants all queries first, then all keys, then all values.
    static Tensor Apart(Tensor weight, int heads)
    {
        var shape = weight.shape;
        return weight.reshape([heads, 3, shape[0] / heads / 3, .. shape[1..]]).transpose(0, 1).reshape(shape);
    }

    [GeneratedRegex(@"^(model|transformer|gpt_neox)\.(layers|h)\.(?<layer>\d+)\.(?<part>.+)$", RegexOptions.CultureInvariant)]
    private static partial Regex Block();
}
