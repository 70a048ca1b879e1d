using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>The files of a repository that are needed for a purpose.</summary>
public abstract class HubSelection
{
    private const string Configuration = "config.json", AdapterConfiguration = "adapter_config.json";

    /// <summary>The files with a model's weights, or with an index of them, in transformers' reading order.</summary>
    public static IReadOnlyList<string> WeightNames { get; } =
        ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

    private static readonly string[] AdapterWeights = ["adapter_model.safetensors", "adapter_model.bin"];
    private static readonly string[] Tokenizers =
    [
        "tokenizer.json", "tokenizer.model", "spiece.model", "ice_text.model", "sentencepiece.bpe.model", "tiktoken.model", "vocab.json",
        "vocab.txt",
    ];

    /// <summary>The files of what prepares pictures, sounds and films for a multimodal model.</summary>
    public static IReadOnlyList<string> Preparing { get; } =
        ["preprocessor_config.json", "processor_config.json", "image_processor_config.json", "video_preprocessor_config.json"];

    private static readonly string[] Globs = ["*.tiktoken", "conversion-*.json", "additional_chat_templates/*.jinja"];

    /// <summary>The other files of a model's folder: the tokenizer, the layout of conversations, the settings of generation.</summary>
    public static IReadOnlyList<string> Companions { get; } =
    [
        .. Tokenizers, "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "generation_config.json",
        "chat_template.jinja", "chat_template.json", "polymath.json", "task.json",
        .. Preparing, .. Globs,
    ];

    /// <summary>A model with its tokenizer and one form of its weights.</summary>
    public static HubSelection Model { get; } = new ModelFiles();

    /// <summary>A tokenizer with its chat template.</summary>
    public static HubSelection Tokenizer { get; } = new TokenizerFiles();

    /// <summary>An adapter in PEFT's layout.</summary>
    public static HubSelection Adapter { get; } = new AdapterFiles();

    /// <summary>A model, or an adapter or a tokenizer when there is no model.</summary>
    public static HubSelection Whole { get; } = new WholeFiles();

    /// <summary>Files of data.</summary>
    /// <param name="pattern">The path or glob; null for all files of the one format that can be read.</param>
    public static HubSelection Data(string? pattern) => pattern is null ? new DataFiles() : new Named([pattern]);

    /// <summary>Files that match one of some patterns.</summary>
    /// <param name="patterns">The paths or globs.</param>
    public static HubSelection Files(IReadOnlyList<string> patterns) => new Named(patterns);

    /// <summary>Chooses the files.</summary>
    /// <param name="source">The repository's name in messages.</param>
    /// <param name="all">All its files.</param>
    /// <param name="read">Reads a chosen file once it is fetched; returns null before.</param>
    /// <returns>The files; more of them when files that name others can be read.</returns>
    /// <exception cref="InputException">A needed file is missing.</exception>
    internal abstract IReadOnlyList<string> Choose(string source, IReadOnlyList<string> all, Func<string, byte[]?> read);

    /// <summary>The content of a repository, for a message.</summary>
    private static string Holds(IReadOnlyList<string> all)
    {
        if (all.Count == 0)
            return "It is empty";
        return $"It holds {string.Join(", ", all.Take(8))}{(all.Count > 8 ? $" and {all.Count - 8} more" : "")}";
    }

    private static IEnumerable<string> Beside(IReadOnlyList<string> all) =>
        all.Where(name => Companions.Contains(name) || Globs.Any(glob => LocalFiles.Fits(glob, name)));

    private static List<string> WeightsOf(string source, IReadOnlyList<string> all, Func<string, byte[]?> read)
    {
        var taken = WeightNames.FirstOrDefault(all.Contains);
        if (taken is null)
        {
            throw new InputException($"{source} has no weights that can be read: none of model.safetensors, pytorch_model.bin, whole or in "
                + $"shards. {Holds(all)}. Name a repository with safetensors.");
        }
        if (!taken.EndsWith(".json", StringComparison.Ordinal)) return [taken];
        return [taken, .. read(taken) is { } content ? Shards(source, taken, content, all) : []];
    }

    private static List<string> Shards(string source, string index, byte[] content, IReadOnlyList<string> all)
    {
        try
        {
            var names = (JsonNode.Parse(content)?["weight_map"] as JsonObject ?? throw new JsonException("it has no weight_map."))
                .Select(pair => pair.Value?.ToString() ?? "").Distinct().Select(name => ShardPath.Inside(name) ?? name).Distinct().ToList();
            return names.Find(name => !all.Contains(name)) is { } missing
                ? throw new InputException($"{index} of {source} names the shard '{missing}', which is not there. Name another revision.")
                : names;
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException)
        {
            throw new InputException($"{index} of {source} cannot be read: {fault.Message} Name another revision.", fault);
        }
    }

    private sealed class ModelFiles : HubSelection
    {
        internal override IReadOnlyList<string> Choose(string source, IReadOnlyList<string> all, Func<string, byte[]?> read)
        {
            if (all.Contains(Configuration))
                return [Configuration, .. Beside(all), .. WeightsOf(source, all, read)];
            throw new InputException(all.Contains(AdapterConfiguration)
                ? $"{source} is an adapter, not a model. Name its base model, and this with --adapter."
                : $"{source} is not a model in Hugging Face's layout: it has no {Configuration}. {Holds(all)}. Name another repository.");
        }
    }

    private sealed class TokenizerFiles : HubSelection
    {
        internal override IReadOnlyList<string> Choose(string source, IReadOnlyList<string> all, Func<string, byte[]?> read) =>
            all.Any(name => Tokenizers.Contains(name) || LocalFiles.Fits("*.tiktoken", name))
                ? [.. all.Where(name => name == Configuration), .. Beside(all)]
                : throw new InputException($"{source} has no tokenizer: none of {string.Join(", ", Tokenizers)}. {Holds(all)}. Name "
                    + "another repository.");
    }

    private sealed class AdapterFiles : HubSelection
    {
        internal override IReadOnlyList<string> Choose(string source, IReadOnlyList<string> all, Func<string, byte[]?> read)
        {
            if (all.Contains(AdapterConfiguration) && AdapterWeights.FirstOrDefault(all.Contains) is { } weights)
                return [AdapterConfiguration, .. Beside(all), weights];
            throw new InputException($"{source} is not an adapter in PEFT's layout: it has no "
                + $"{(all.Contains(AdapterConfiguration) ? string.Join(" or ", AdapterWeights) : AdapterConfiguration)}. {Holds(all)}. "
                + "Name another repository.");
        }
    }

    private sealed class WholeFiles : HubSelection
    {
        internal override IReadOnlyList<string> Choose(string source, IReadOnlyList<string> all, Func<string, byte[]?> read)
        {
            var other = all.Contains(AdapterConfiguration) ? Adapter : Tokenizer;
            return (all.Contains(Configuration) ? Model : other).Choose(source, all, read);
        }
    }

    private sealed class DataFiles : HubSelection
    {
        // Files of datasets that contain no rows.
        private static readonly string[] NoRows =
            ["dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "requirements.txt", "license.txt", "robots.txt"];

        internal override IReadOnlyList<string> Choose(string source, IReadOnlyList<string> all, Func<string, byte[]?> read)
        {
            var files =
                all.Where(name => RowReader.IsReadable(name) && !NoRows.Contains(Path.GetFileName(name).ToLowerInvariant())).ToList();
            var formats = files.GroupBy(name => Path.GetExtension(name).ToLowerInvariant()).Where(group => group.Key != ".txt").ToList();
            return (formats.Count, files.Count) switch
            {
                (_, 0) => throw new InputException($"{source} has no files that can be read (parquet, jsonl, json, csv, txt). "
                    + $"{Holds(all)}. Name another repository."),
                (0, _) => files,
                (1, _) => [.. formats[0]],
                _ => throw new InputException($"{source} holds its data in several formats: "
                    + $"{string.Join(", ", formats.Select(group => $"{group.Count()} {group.Key}"))}. Say which files are meant, such as "
                    + $"{source}/{Pattern(formats[0])}."),
            };
        }

        private static string Pattern(IGrouping<string, string> format) =>
            (Path.GetDirectoryName(format.First()) is { Length: > 0 } folder ? folder.Replace('\\', '/') + "/" : "") + "*" + format.Key;
    }

    private sealed class Named(IReadOnlyList<string> patterns) : HubSelection
    {
        internal override IReadOnlyList<string> Choose(string source, IReadOnlyList<string> all, Func<string, byte[]?> read)
        {
            foreach (var pattern in patterns)
            {
                if (!all.Any(name => LocalFiles.Fits(pattern, name)))
                    throw new InputException($"no file of {source} matches '{pattern}'. {Holds(all)}. Correct the path; `polymath hub list "
                        + $"{source}` shows all.");
            }
            return [.. all.Where(name => patterns.Any(pattern => LocalFiles.Fits(pattern, name)))];
        }
    }
}
