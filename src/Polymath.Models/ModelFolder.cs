using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Models.Decoding;
using Polymath.Models.Families;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Files;

namespace Polymath.Models;

/// <summary>
/// Models in Hugging Face's layout: <c>config.json</c>, <c>model.safetensors</c> or its shards, or PyTorch's <c>pytorch_model.bin</c>
/// instead.
/// </summary>
public static class ModelFolder
{
    // All families: how a model type is built, and the prefix that some files omit from names.
    private static readonly Dictionary<string, (Func<JsonObject, WeightSource, LanguageModel> Build, string Prefix)> families = new(
        StringComparer.Ordinal)
    {
        ["llama"] = ((configuration, source) => new Llama(configuration, source), "model."),
        ["mistral"] = ((configuration, source) => new Llama(configuration, source), "model."),
        ["qwen2"] = ((configuration, source) => new Llama(configuration, source), "model."),
        ["qwen3"] = ((configuration, source) => new Llama(configuration, source), "model."),
        ["mixtral"] = ((configuration, source) => new Mixtral(configuration, source), "model."),
        ["qwen3_moe"] = ((configuration, source) => new Mixtral(configuration, source), "model."),
        ["gemma2"] = ((configuration, source) => new Gemma2(configuration, source), "model."),
        ["phi3"] = ((configuration, source) => new Phi3(configuration, source), "model."),
        ["glm"] = ((configuration, source) => new Glm(configuration, source), "model."),
        ["glm4"] = ((configuration, source) => new Glm(configuration, source), "model."),
        ["gemma"] = ((configuration, source) => new Gemma(configuration, source), "model."),
        ["gemma3_text"] = ((configuration, source) => new Gemma3(configuration, source), "model."),
        ["ministral"] = ((configuration, source) => new Ministral(configuration, source), "model."),
        ["ministral3"] = ((configuration, source) => new Ministral(configuration, source), "model."),
        ["smollm3"] = ((configuration, source) => new SmolLm3(configuration, source), "model."),
        ["ernie4_5"] = ((configuration, source) => new Ernie45(configuration, source), "model."),
        ["hunyuan_v1_dense"] = ((configuration, source) => new HunYuan(configuration, source), "model."),
        ["internlm"] = ((configuration, source) => new InternLm(configuration, source), "model."),
        ["internlm3"] = ((configuration, source) => new InternLm(configuration, source), "model."),
        ["Yi"] = ((configuration, source) => new InternLm(configuration, source), "model."),
        ["internlm2"] = ((configuration, source) => new InternLm2(configuration, source), "model."),
        ["baichuan"] = ((configuration, source) => new Baichuan(configuration, source), "model."),
        ["qwen"] = ((configuration, source) => new Qwen(configuration, source), "transformer."),
        ["granite"] = ((configuration, source) => new Granite(configuration, source), "model."),
        ["minicpm"] = ((configuration, source) => new Granite(configuration, source), "model."),
        ["granitemoe"] = ((configuration, source) => new GraniteMoe(configuration, source), "model."),
        ["olmo"] = ((configuration, source) => new Olmo(configuration, source), "model."),
        ["olmo2"] = ((configuration, source) => new Olmo2(configuration, source), "model."),
        ["olmo3"] = ((configuration, source) => new Olmo2(configuration, source), "model."),
        ["exaone4"] = ((configuration, source) => new Exaone4(configuration, source), "model."),
        ["cohere"] = ((configuration, source) => new Cohere(configuration, source), "model."),
        ["cohere2"] = ((configuration, source) => new Cohere(configuration, source), "model."),
        ["phi"] = ((configuration, source) => new Phi(configuration, source), "model."),
        ["stablelm"] = ((configuration, source) => new StableLm(configuration, source), "model."),
        ["starcoder2"] = ((configuration, source) => new StarCoder2(configuration, source), "model."),
        ["qwen2_moe"] = ((configuration, source) => new Qwen2Moe(configuration, source), "model."),
        ["glm4_moe"] = ((configuration, source) => new Glm4Moe(configuration, source), "model."),
        ["deepseek_v2"] = ((configuration, source) => new DeepSeek(configuration, source), "model."),
        ["deepseek_v3"] = ((configuration, source) => new DeepSeek(configuration, source), "model."),
        ["minicpm3"] = ((configuration, source) => new DeepSeek(configuration, source), "model."),
        ["llama4_text"] = ((configuration, source) => new Llama4(configuration, source), "model."),
        ["gpt_oss"] = ((configuration, source) => new GptOss(configuration, source), "model."),
        ["falcon"] = ((configuration, source) => new Falcon(configuration, source), "transformer."),
        ["qwen3_next"] = ((configuration, source) => new Qwen3Next(configuration, source), "model."),
        ["qwen3_5_text"] = ((configuration, source) => new Qwen3Next(configuration, source), "model."),
        ["qwen3_5_moe_text"] = ((configuration, source) => new Qwen3Next(configuration, source), "model."),
        ["gemma4_text"] = ((configuration, source) => new Gemma4(configuration, source), "model."),
        ["mamba2"] = ((configuration, source) => new Mamba2(configuration, source), "backbone."),
        ["chatglm"] = (
            (configuration, source) => configuration.ContainsKey("padded_vocab_size") || configuration.ContainsKey("ffn_hidden_size")
                ? new ChatGlm2(configuration, source)
                : new ChatGlm(configuration, source),
            ""),
        ["gpt2"] = ((configuration, source) => new Gpt2(configuration, source), "transformer."),
        ["gpt_neox"] = ((configuration, source) => new GptNeoX(configuration, source), "gpt_neox."),
        ["opt"] = ((configuration, source) => new Opt(configuration, source), "model."),
        ["bloom"] = ((configuration, source) => new Bloom(configuration, source), "transformer."),
        ["bert"] = ((configuration, source) => new Bert(configuration, source), "bert."),
        ["roberta"] = ((configuration, source) => new Bert(configuration, source), "roberta."),
        ["xlm-roberta"] = ((configuration, source) => new Bert(configuration, source), "roberta."),
        ["distilbert"] = ((configuration, source) => new DistilBert(configuration, source), "distilbert."),
        ["electra"] = ((configuration, source) => new Electra(configuration, source), "electra."),
        ["albert"] = ((configuration, source) => new Albert(configuration, source), "albert."),
        ["modernbert"] = ((configuration, source) => new ModernBert(configuration, source), "model."),
        ["deberta-v2"] = ((configuration, source) => new Deberta(configuration, source), "deberta."),
        ["bart"] = ((configuration, source) => new Bart(configuration, source), "model."),
        ["mbart"] = ((configuration, source) => new Bart(configuration, source), "model."),
        ["pegasus"] = ((configuration, source) => new Bart(configuration, source), "model."),
        ["mt5"] = ((configuration, source) => new T5(configuration, source), "transformer."),
        ["t5"] = ((configuration, source) => new T5(configuration, source), "transformer."),
    };

    private static bool IsWrapped(string folder) => Envelope.IsOne(ReadObject(Path.Combine(folder, "config.json")));

    /// <summary>The model types that can be read.</summary>
    public static IReadOnlyCollection<string> Families => families.Keys;

    /// <summary>The configuration of a new model.</summary>
    /// <param name="spec">The sizes that a recipe asks for.</param>
    /// <param name="vocabularySize">The tokenizer's tokens.</param>
    /// <param name="ends">The tokens that begin a row and end a text.</param>
    /// <param name="idOf">The id of a mark.</param>
    public static JsonObject Configure(ModelSpec spec, int vocabularySize, (int Begin, int End) ends, Func<string, int?> idOf) =>
        spec switch
        {
            LlamaSpec llama => Llama.Configure(llama, vocabularySize, ends.Begin, ends.End),
            ChatGlmSpec glm => ChatGlm.Configure(glm, vocabularySize, idOf),
            FamilySpec family => FreshFamily.Configure(family, vocabularySize, ends.Begin, ends.End),
            _ => throw new ArgumentException($"{spec?.GetType().Name} is no new model.", nameof(spec)),
        };

    /// <summary>A model of fresh weights.</summary>
    /// <param name="configuration">The content of a <c>config.json</c>.</param>
    /// <param name="seed">The seed.</param>
    public static LanguageModel New(JsonObject configuration, long seed) =>
        WithOwnEnds(Family(configuration, "the configuration").Build(
            configuration,
            new FreshWeights(seed, InitialValues.Of(configuration))));

    /// <summary>A model of weights from a source.</summary>
    /// <param name="configuration">The content of a <c>config.json</c>.</param>
    /// <param name="source">The weights.</param>
    internal static LanguageModel Build(JsonObject configuration, WeightSource source) =>
        Family(configuration, "the configuration").Build(configuration, source);

    private static LanguageModel WithOwnEnds(LanguageModel model)
    {
        if (model.Labels is null && model.Reading != Reading.Encoder) model.Generation = GenerationConfig.Fresh(model.Configuration);
        return model;
    }

    private static (Func<JsonObject, WeightSource, LanguageModel> Build, string Prefix) Family(JsonObject configuration, string place)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        var type = configuration["model_type"]?.ToString() ?? "";
        if (families.TryGetValue(type, out var family)) return family;
        if (type.Length == 0)
            throw new InputException($"{place}: config.json names no model_type. Add it, as the published configuration has it.");
        throw new InputException($"{place}: the family '{type}' is not known; known are {string.Join(", ", families.Keys)}."
            + (Directory.Exists(place) ? FamilyGuess.Of(configuration, place) : ""));
    }

    /// <summary>Opens a model; its weights are mapped from the files, not copied.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="allowed">Names of weights that the files may have although the model does not need them.</param>
    /// <exception cref="InputException">A file is missing or damaged, the family unknown, or the weights do not fit the
    /// configuration.</exception>
    public static LanguageModel Open(string folder, IReadOnlyCollection<string>? allowed = null)
    {
        var configuration = Configuration(folder);
        var (build, prefix) = Family(configuration, folder);
        var root = ModelBase.Of(folder);
        var source = new FileWeights(WeightFiles.Of(root), folder, prefix, allowed)
        {
            Remarks = WeightFiles.Remarks(root), IsWrapped = IsWrapped(folder), IsCarried = true,
        };
        try
        {
            source.Decode(configuration, root);
            var model = build(configuration, source);
            model.Envelope = Envelope.Of(folder, root, source);
            model.Generation = GenerationConfig.Read(folder);
            return model;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Opens a language model with a fresh head over labels instead of its output head; everything else comes from the files.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="task">The task of the head.</param>
    /// <param name="labels">The labels' names, in order; a reward has one.</param>
    /// <param name="seed">The seed of the head's weights.</param>
    /// <param name="allowed">Names of weights that the files may have although the model does not need them.</param>
    /// <param name="place">What of a row the head reads; as the family does when left out.</param>
    /// <exception cref="InputException">The model has a head over labels already, or cannot be opened.</exception>
    public static LanguageModel OpenWithHead(
        string folder,
        LabelTask task,
        IReadOnlyList<string> labels,
        long seed,
        IReadOnlyCollection<string>? allowed = null,
        LabelPlace? place = null)
    {
        var configuration = Configuration(folder);
        var (build, prefix) = Family(configuration, folder);
        LabelHead.Configure(configuration, task, labels, place);
        var root = ModelBase.Of(folder);
        var source = new FileWeights(WeightFiles.Of(root), folder, prefix, allowed)
        {
            Fresh = (LabelHead.AllModules, new FreshWeights(seed, InitialValues.Of(configuration))),
            Remarks = WeightFiles.Remarks(root),
            IsWrapped = IsWrapped(folder),
        };
        try
        {
            source.Decode(configuration, root);
            return build(configuration, source);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>The content of <c>config.json</c>.</summary>
    /// <param name="folder">The folder.</param>
    public static JsonObject Configuration(string folder)
    {
        var file = Path.Combine(folder, "config.json");
        AdapterFolder.Refuse(folder);
        if (!File.Exists(file)) throw new InputException($"{folder} is not a model folder: it has no config.json.");
        return Envelope.Unwrap(ReadObject(file));
    }

    /// <summary>The most tokens of a row, from a model's configuration.</summary>
    /// <param name="folder">The folder.</param>
    public static int ContextLength(string folder)
    {
        var configuration = Configuration(folder);
        Family(configuration, folder);
        var read = new ConfigReader(configuration);
        return read.IntOf(["max_position_embeddings", "n_positions", "n_ctx", "seq_length", "max_sequence_length"], 2048)
            - (configuration["model_type"]?.ToString() is "roberta" or "xlm-roberta" ? 2 : 0);
    }

    /// <summary>The rows of the model's token table, from its configuration; null when it has no such value.</summary>
    /// <param name="folder">The folder.</param>
    public static int? TokenRows(string folder)
    {
        var configuration = Configuration(folder);
        return Array.Find(["padded_vocab_size", "vocab_size"], configuration.ContainsKey) is { } key
            ? new ConfigReader(configuration).Int(key)
            : null;
    }

    /// <summary>
    /// The weight files, in the order in which transformers looks for them: one file before shards, safetensors before PyTorch's own.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="InputException">There are none, or the index names a file outside the folder.</exception>
    public static IReadOnlyList<string> Files(string folder) => WeightFiles.Of(ModelBase.Of(folder));

    /// <summary>Whether a folder has weights; a configuration can be planned without them.</summary>
    /// <param name="folder">The folder.</param>
    public static bool HasWeights(string folder) => WeightFiles.HasOwn(ModelBase.Of(folder));

    /// <summary>Writes the configuration and the weights.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder.</param>
    public static void Save(LanguageModel model, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        ModelWriter.Write(model, folder, ModelWriter.TypeOf(model), long.MaxValue);
    }

    /// <summary>A digest over the names, types, shapes and bytes of all weights.</summary>
    /// <param name="folder">The folder.</param>
    public static string Hash(string folder) => WeightDigest.Of(Files(folder));

    internal static JsonObject ReadObject(string file)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllBytes(file)) as JsonObject
                ?? throw new InputException($"{file} is not a JSON object. Fetch or save it again.");
        }
        catch (JsonException e)
        {
            throw new InputException($"{file}, line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1} is not JSON: "
                    + $"{e.Message.Split(" LineNumber:")[0].TrimEnd('.')}. Is the file cut off? Fetch or save it again.",
                e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file} cannot be read: {e.Message} Check the path.", e);
        }
    }
}
