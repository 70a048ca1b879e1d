using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// An entry of LLaMA-Factory's <c>dataset_info.json</c>, written <c>FILE#NAME</c>: the files with the rows, and their columns and speakers.
/// </summary>
internal sealed class DataDescription
{
    private static readonly (string Theirs, string Ours)[] Columns =
    [
        ("prompt", "prompt"),
        ("query", "input"),
        ("response", "answer"),
        ("history", "history"),
        ("messages", "messages"),
        ("system", "system"),
        ("tools", "tools"),
        ("images", "images"),
        ("videos", "videos"),
        ("audios", "audios"),
        ("chosen", "chosen"),
        ("rejected", "rejected"),
        ("kto_tag", "label"),
    ];

    private static readonly (string Tag, string Role)[] Tags =
    [
        ("user_tag", "user"),
        ("assistant_tag", "assistant"),
        ("observation_tag", "tool"),
        ("function_tag", "function_call"),
        ("system_tag", "system"),
    ];

    private readonly string file, name;
    private readonly JsonObject entry;

    private DataDescription(string file, string name, JsonObject entry) => (this.file, this.name, this.entry) = (file, name, entry);

    /// <summary>The entry that an address names; null when the text is not such an address.</summary>
    /// <param name="address">The address.</param>
    /// <exception cref="InputException">The file cannot be read, or has no such entry.</exception>
    public static DataDescription? Parse(string address)
    {
        var (file, name) = DescribedData.Split(address);
        if (file is null)
            return null;
        JsonObject? entries;
        try
        {
            entries = JsonNode.Parse(File.ReadAllBytes(file), documentOptions: JsonFault.Strict) as JsonObject;
        }
        catch (Exception fault) when (fault is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file} cannot be read: {fault.Message} Correct the path or the file.", fault);
        }
        if (entries?[name] is JsonObject entry)
            return new DataDescription(file, name, entry);
        var known = entries?.Select(pair => pair.Key).ToList() ?? [];
        throw new InputException($"{file} has no entry '{name}'. {Nearest.Hint(name, known, "entries")}.");
    }

    /// <summary>The address on a hub that the entry names; null for files.</summary>
    public string? Address
    {
        get
        {
            var (prefix, repository) = (Text("hf_hub_url"), Text("ms_hub_url")) switch
            {
                ({ } hub, _) => ("hf:datasets/", hub),
                (_, { } hub) => ("modelscope:datasets/", hub),
                _ => ("", null),
            };
            if (repository is null)
                return null;
            var folder = Text("folder") ?? Text("subset");
            var split = Text("split") is { } part && part != "train" ? part : null;
            var pattern = (folder, split) switch
            {
                ({ } inside, { } named) => $"/{inside}/*{named}*",
                ({ } inside, _) => $"/{inside}/*",
                (_, { } named) => $"/**/*{named}*",
                _ => "",
            };
            return prefix + repository + pattern;
        }
    }

    /// <summary>The files that hold the rows.</summary>
    /// <param name="report">Receives the files of a folder that are not read.</param>
    /// <exception cref="InputException">They are missing.</exception>
    public IReadOnlyList<string> Files(SourceReport report)
    {
        var name = Text("file_name")
            ?? throw new InputException($"{file}, entry '{this.name}': it names no files (file_name) and no hub. Correct the entry.");
        var path = Path.Combine(Path.GetDirectoryName(file) ?? "", name);
        if (!Directory.Exists(path))
            return FilePattern.Find(Path.GetDirectoryName(file) ?? "", name);
        var read = Directory.GetFiles(path).Order(StringComparer.Ordinal).ToLookup(RowReader.IsReadable);
        foreach (var other in read[false])
            report.Count($"file {other} is not read: its ending shows no format of rows", 0, null);
        return [.. read[true]];
    }

    /// <summary>The settings of the rows from the entry; the recipe's settings win.</summary>
    /// <param name="spec">The recipe's settings.</param>
    public FilesSpec Applied(FilesSpec spec)
    {
        var columns = entry["columns"] as JsonObject ?? [];
        var talks = Text("formatting") is "sharegpt" or "openai";
        var fields = new Dictionary<string, FieldSpec>(StringComparer.Ordinal);
        foreach (var (theirs, ours) in Columns)
        {
            if (columns[theirs]?.ToString() is { } column)
                fields[ours] = new FieldSpec(column);
        }
        var tags = entry["tags"] as JsonObject ?? [];
        if (tags["role_tag"]?.ToString() is { } role)
            fields["messages.role"] = new FieldSpec(role);
        if (tags["content_tag"]?.ToString() is { } content)
            fields["messages.content"] = new FieldSpec(content);
        var roles = Tags.Where(pair => tags[pair.Tag] is not null)
            .DistinctBy(pair => tags[pair.Tag]!.ToString())
            .ToDictionary(pair => tags[pair.Tag]!.ToString(), pair => pair.Role, StringComparer.Ordinal);
        // Pretraining reads only the column of the prompts.
        var reads = !talks && fields.ContainsKey("prompt") && fields.Count == 1;
        if (reads)
            fields = new(StringComparer.Ordinal) { ["text"] = fields["prompt"] };
        foreach (var (name, field) in spec.Fields ?? new Dictionary<string, FieldSpec>())
            fields[name] = field;
        foreach (var (speaker, meant) in spec.Roles ?? new Dictionary<string, string>())
            roles[speaker] = meant;
        return spec with
        {
            Shape = spec.Shape ?? ShapeOf(reads, fields), Fields = fields.Count > 0 ? fields : null, Roles = roles.Count > 0 ? roles : null,
            Sample = spec.Sample ?? Number("num_samples"),
            Ignore = talks ? spec.Ignore : [.. spec.Ignore ?? [], .. Undeclared(columns)],
        };
    }

    // LLaMA-Factory reads an input where it is declared, or no column is, and all else that stands before an answer where it is declared.
    private static IEnumerable<string> Undeclared(JsonObject columns)
    {
        (string Theirs, string[] Names)[] optional =
            [("query", ShapeKeys.Input), ("history", ShapeKeys.History), ("system", ShapeKeys.System), ("tools", ShapeKeys.Tools)];
        var read = columns.Select(pair => pair.Value?.ToString()).Append(columns.Count == 0 ? ShapeKeys.Input[0] : null).ToList();
        return optional.Where(part => !columns.ContainsKey(part.Theirs)).SelectMany(part => part.Names).Where(name => !read.Contains(name));
    }

    private DataShape ShapeOf(bool reads, Dictionary<string, FieldSpec> fields)
    {
        if (reads)
            return DataShape.Text;
        if (entry["ranking"]?.GetValueKind() == JsonValueKind.True)
            return DataShape.Preference;
        return fields.ContainsKey("label") ? DataShape.Kto : DataShape.Auto;
    }

    private int? Number(string key) =>
        JsonValues.Number(entry[key]) is >= 1 and <= int.MaxValue and var number ? (int)number : null;

    private string? Text(string key) => entry[key] is JsonValue value ? value.ToString() : null;
}
