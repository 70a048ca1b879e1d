namespace Polymath.Recipes;

/// <summary>The model to train: a new one (<c>family</c> and sizes), or an existing one (<c>folder</c>).</summary>
[Case("family", "llama", typeof(LlamaSpec))]
[Case("family", "chatglm", typeof(ChatGlmSpec))]
[Case("family", null, typeof(FamilySpec))]
[Case("folder", null, typeof(PretrainedSpec))]
public abstract record ModelSpec;

/// <summary>The sizes of a new model that its rows and heads must fit.</summary>
public interface INewModel
{
    /// <summary>The width of the residual stream.</summary>
    int HiddenSize { get; }

    /// <summary>The number of query heads.</summary>
    int Heads { get; }

    /// <summary>The most tokens in a row.</summary>
    int ContextLength { get; }
}

/// <summary>
/// A new model of the Llama family: root-mean-square norms, rotary positions, grouped-query attention, SwiGLU (Touvron et al. 2023).
/// </summary>
/// <param name="HiddenSize">The width of the residual stream; a multiple of <paramref name="Heads"/>.</param>
/// <param name="IntermediateSize">The inner width of the feed-forward block.</param>
/// <param name="Layers">The number of blocks.</param>
/// <param name="Heads">The number of query heads.</param>
/// <param name="KeyValueHeads">The number of key and value heads; a divisor of <paramref name="Heads"/>, by default the same
/// number.</param>
/// <param name="ContextLength">The most tokens in a row.</param>
/// <param name="TiedHead">Whether the output head shares the token table's weights.</param>
/// <param name="RopeTheta">The base of the rotary frequencies.</param>
/// <param name="NormEpsilon">The number added to the mean square in norms.</param>
/// <param name="InitializerRange">The standard deviation of fresh weights.</param>
public sealed record LlamaSpec(
    [Bounds(1, 65536)] int HiddenSize,
    [Bounds(1, 1048576)] int IntermediateSize,
    [Bounds(1, 1000)] int Layers,
    [Bounds(1, 1024)] int Heads,
    [Bounds(1, 1024)] int? KeyValueHeads = null,
    [Bounds(2, 16777216)] int ContextLength = 1024,
    bool TiedHead = true,
    [Bounds(1)] double RopeTheta = 10000,
    [Bounds(0, 1)] double NormEpsilon = 1e-5,
    [Bounds(0, 10)] double InitializerRange = 0.02) : ModelSpec, INewModel;

/// <summary>
/// A new model of ChatGLM-6B's kind: a prompt read in both directions, an answer forward, positions of two dimensions (Zeng et al. 2022). A
/// tokenizer that is trained for it has its marks, and its rows have its published layout.
/// </summary>
/// <param name="HiddenSize">The width of the residual stream; a multiple of four times <paramref name="Heads"/>.</param>
/// <param name="IntermediateSize">The inner width of the feed-forward block.</param>
/// <param name="Layers">The number of blocks.</param>
/// <param name="Heads">The number of heads.</param>
/// <param name="ContextLength">The most tokens in a row.</param>
/// <param name="InitializerRange">The standard deviation of fresh weights.</param>
public sealed record ChatGlmSpec(
    [Bounds(1, 65536)] int HiddenSize,
    [Bounds(1, 1048576)] int IntermediateSize,
    [Bounds(1, 1000)] int Layers,
    [Bounds(1, 1024)] int Heads,
    [Bounds(2, 16777216)] int ContextLength = 2048,
    [Bounds(0, 10)] double InitializerRange = 0.02) : ModelSpec, INewModel;

/// <summary>
/// A new model of any other family, made from sizes with the family's published initial values. What is not said is as in its published
/// configuration.
/// </summary>
/// <param name="Family">The family, by the name that <c>model_type</c> has in its configuration.</param>
/// <param name="HiddenSize">The width of the residual stream.</param>
/// <param name="IntermediateSize">The inner width of the feed-forward block, and of each expert.</param>
/// <param name="Layers">The number of blocks; of an encoder-decoder, in each half.</param>
/// <param name="Heads">The number of query heads.</param>
/// <param name="KeyValueHeads">The number of key and value heads, where the family has them apart; by default as many.</param>
/// <param name="HeadWidth">The width of a head, where the family has it apart; by default the heads' share of the hidden width.</param>
/// <param name="ContextLength">The most tokens in a row.</param>
/// <param name="TiedHead">Whether the output head shares the token table's weights; by default as the family has it.</param>
/// <param name="Experts">The number of experts, for a family that has them; by default 8.</param>
/// <param name="ExpertsPerToken">How many of them a token goes through; by default 2.</param>
/// <param name="Settings">Further keys of <c>config.json</c> with values as JSON, such as <c>sliding_window: 64</c>; they come
/// last.</param>
public sealed record FamilySpec(
    [Means(Meaning.Family)] string Family,
    [Bounds(1, 65536)] int HiddenSize,
    [Bounds(1, 1048576)] int IntermediateSize,
    [Bounds(1, 1000)] int Layers,
    [Bounds(1, 1024)] int Heads,
    [Bounds(1, 1024)] int? KeyValueHeads = null,
    [Bounds(1, 65536)] int? HeadWidth = null,
    [Bounds(2, 16777216)] int ContextLength = 1024,
    bool? TiedHead = null,
    [Bounds(1, 65536)] int? Experts = null,
    [Bounds(1, 1024)] int? ExpertsPerToken = null,
    IReadOnlyDictionary<string, string>? Settings = null) : ModelSpec, INewModel
{
    /// <summary>The families that have no record of their own.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        "Yi", "albert", "baichuan", "bart", "bert", "bloom", "cohere", "cohere2", "deberta-v2", "deepseek_v2", "deepseek_v3", "distilbert",
        "electra", "ernie4_5", "exaone4", "falcon", "gemma", "gemma2", "gemma3_text", "gemma4_text", "glm", "glm4", "glm4_moe", "gpt2",
        "gpt_neox", "gpt_oss", "granite", "granitemoe", "hunyuan_v1_dense", "internlm", "internlm2", "internlm3", "llama4_text", "mamba2",
        "mbart", "minicpm", "minicpm3", "ministral", "ministral3", "mistral", "mixtral", "modernbert", "mt5", "olmo", "olmo2", "olmo3",
        "opt", "pegasus", "phi", "phi3", "qwen", "qwen2", "qwen2_moe", "qwen3", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_moe",
        "qwen3_next", "roberta", "smollm3", "stablelm", "starcoder2", "t5", "xlm-roberta",
    ];
}

/// <summary>An existing model in Hugging Face's layout: <c>config.json</c>, safetensors, <c>tokenizer.json</c>.</summary>
/// <param name="Folder">The folder, or <c>hf:ORG/NAME[@REVISION]</c> or <c>modelscope:ORG/NAME[@REVISION]</c> for one on a hub.</param>
public sealed record PretrainedSpec([Means(Meaning.Folder)] string Folder) : ModelSpec;

/// <summary>
/// How the tokenizer is made. It is trained on the training rows of every stage, in the form in which the stages read them.
/// </summary>
[Case("kind", "character", typeof(CharacterTokenizerSpec))]
[Case("kind", "byteLevelBpe", typeof(ByteLevelBpeSpec))]
[Case("kind", "wordPiece", typeof(WordPieceSpec))]
[Case("kind", "unigram", typeof(UnigramSpec))]
[Case("folder", null, typeof(TokenizerFolderSpec))]
public abstract record TokenizerSpec;

/// <summary>One token for each character, and bytes for the characters that are too rare.</summary>
/// <param name="MinimumCount">How often a character must occur to get a token of its own.</param>
public sealed record CharacterTokenizerSpec([Bounds(1)] int MinimumCount = 1) : TokenizerSpec;

/// <summary>Byte-level byte-pair encoding (Sennrich et al. 2016; the byte alphabet of GPT-2).</summary>
/// <param name="VocabularySize">The number of tokens, special ones and the 256 bytes included.</param>
/// <param name="MinimumCount">How often a pair must occur to be merged.</param>
public sealed record ByteLevelBpeSpec(
    [Bounds(257, 16777216)] int VocabularySize,
    [Bounds(0)] int MinimumCount = 0) : TokenizerSpec;

/// <summary>WordPiece (Schuster and Nakajima 2012), with BERT's cleaning, lower case and words.</summary>
/// <param name="VocabularySize">The number of tokens, special ones and characters included.</param>
/// <param name="MinimumCount">How often a pair must occur to be merged.</param>
/// <param name="Normalize">Whether texts are cleaned, made lower case and stripped of accents.</param>
public sealed record WordPieceSpec(
    [Bounds(2, 16777216)] int VocabularySize,
    [Bounds(0)] int MinimumCount = 0,
    bool Normalize = true) : TokenizerSpec;

/// <summary>A unigram language model of tokens (Kudo 2018), with bytes for unknown characters.</summary>
/// <param name="VocabularySize">The number of tokens, special ones, the 256 bytes and characters included.</param>
public sealed record UnigramSpec([Bounds(258, 16777216)] int VocabularySize) : TokenizerSpec;

/// <summary>An existing tokenizer.</summary>
/// <param name="Folder">A folder with a <c>tokenizer.json</c> or with the files of older tokenizers; or a hub's address, as for a
/// model.</param>
public sealed record TokenizerFolderSpec([Means(Meaning.Folder)] string Folder) : TokenizerSpec;
