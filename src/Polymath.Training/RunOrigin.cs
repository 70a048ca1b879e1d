using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Runs;
using Polymath.Runs.Reports;

namespace Polymath.Training;

/// <summary>
/// What a run began with: its data, its base model, the version of Polymath, the number of threads, in <c>environment.json</c>. What has
/// changed since would give another model than an uninterrupted run; it is refused, or accepted by name.
/// </summary>
internal sealed class RunOrigin
{
    /// <summary>What may be accepted though it has changed.</summary>
    internal static readonly string[] Names = ["data", "model", "code", "threads"];

    private readonly string file;
    private readonly JsonObject content;
    private readonly IReadOnlyCollection<string> accepted;
    private readonly RunObserver observer;
    private readonly EnvironmentReport now;

    private RunOrigin(
        string file,
        JsonObject content,
        IReadOnlyCollection<string> accepted,
        RunObserver observer,
        EnvironmentReport now) =>
        (this.file, this.content, this.accepted, this.observer, this.now) = (file, content, accepted, observer, now);

    /// <summary>Opens a run's record, or makes it; a run that continues gets the threads that it began with.</summary>
    /// <param name="file">The file.</param>
    /// <param name="baseFolder">What the recipe's paths are relative to.</param>
    /// <param name="accepted">What may have changed.</param>
    /// <param name="observer">Is told of what was accepted.</param>
    /// <exception cref="InputException">The file is damaged.</exception>
    internal static RunOrigin Open(string file, string baseFolder, IReadOnlyCollection<string> accepted, RunObserver observer)
    {
        var content = Read(file);
        if (content?["surroundings"]?["threads"] is JsonValue threads && !accepted.Contains("threads")
            && threads.GetValue<int>() is > 0 and var began && began != TorchSharp.torch.get_num_threads())
        {
            observer.Note($"Uses {began} threads, as the run began; this process would take {TorchSharp.torch.get_num_threads()}. The sums "
                + "of products depend on it: --accept threads changes it.");
            TorchSharp.torch.set_num_threads(began);
        }
        var now = Surroundings.Now();
        content ??= new JsonObject
        {
            ["surroundings"] = JsonSerializer.SerializeToNode(now, JsonLayout.IndentedRecord),
            ["baseFolder"] = Path.GetFullPath(baseFolder),
            ["hubs"] = new JsonObject(),
        };
        if (accepted.Contains("threads"))
            content["surroundings"]!["threads"] = now.Threads;
        return new RunOrigin(
            file,
            content,
            accepted,
            observer,
            now);
    }

    private static JsonObject? Read(string file)
    {
        if (!File.Exists(file))
            return null;
        try
        {
            return JsonNode.Parse(File.ReadAllText(file)) as JsonObject;
        }
        catch (JsonException e)
        {
            throw new InputException($"{file} is damaged: {e.Message} Restore it, or begin again with --fresh.", e);
        }
    }

    /// <summary>Writes the commits of hubs down.</summary>
    /// <param name="hubs">The commits by source.</param>
    internal void Pin(IReadOnlyDictionary<string, string> hubs)
    {
        content["hubs"] = JsonSerializer.SerializeToNode(hubs);
        Save();
    }

    /// <summary>Compares the version of Polymath.</summary>
    /// <exception cref="InputException">It is another, and this is not accepted.</exception>
    internal void CheckCode()
    {
        var before = content["surroundings"]?["polymath"]?.ToString() ?? now.Polymath;
        if (before == now.Polymath)
            return;
        Accept("code", $"this is Polymath {now.Polymath}, and the run began with {before}");
        content["surroundings"]!["polymath"] = now.Polymath;
        Save();
    }

    /// <summary>Compares the base model.</summary>
    /// <param name="folder">Its folder; null for fresh weights.</param>
    /// <exception cref="InputException">Its weights are others, and this is not accepted.</exception>
    internal void CheckModel(string? folder)
    {
        if (folder is null)
            return;
        var digest = Models.ModelBase.DigestOf(folder);
        if (content["model"]?.ToString() is { } before && before != digest)
            Accept("model", $"the weights in {folder} are not those that the run began with");
        content["model"] = digest;
        Save();
    }

    /// <summary>Compares the rows of a source.</summary>
    /// <param name="name">The source; one that is made anew for each visit has the visit's name behind it.</param>
    /// <param name="rows">Its rows.</param>
    /// <exception cref="InputException">They are others, and this is not accepted.</exception>
    internal void CheckData(string name, IReadOnlyList<Row> rows)
    {
        var found = new JsonObject { ["rows"] = rows.Count, ["digest"] = RowHash.Of(rows) };
        var data = content["data"] as JsonObject ?? [];
        if (data[name] is JsonObject before && !JsonNode.DeepEquals(before, found))
            Accept("data", $"data '{name}' has other rows than the run began with ({rows.Count:N0} now, {before["rows"]} then)");
        data[name] = found;
        if (data.Parent is null)
            content["data"] = data;
        Save();
    }

    /// <summary>The name of a source that is made anew for a visit.</summary>
    /// <param name="source">The source.</param>
    /// <param name="visit">The visit.</param>
    internal static string NameOf(string source, StageVisit visit) => $"{source} of {visit.Name}";

    /// <summary>What a visit's model was made from.</summary>
    /// <param name="visit">The visit.</param>
    /// <param name="from">The visit or the folder that it started from; null for fresh weights.</param>
    /// <param name="report">Its figures.</param>
    /// <param name="rewards">The recipe's rewards.</param>
    internal StageLineage Lineage(
        StageVisit visit,
        string? from,
        StageReport report,
        IReadOnlyDictionary<string, RewardSpec>? rewards)
    {
        DataDigest Of(string name)
        {
            var known = content["data"]?[NameOf(name, visit)] ?? content["data"]?[name];
            return new DataDigest(known?["rows"]?.GetValue<int>() ?? 0, known?["digest"]?.ToString() ?? "");
        }
        return new StageLineage(
            visit.Name,
            visit.Stage.Objective.Kind,
            from,
            report.Method,
            report.Steps,
            visit.Stage.Sources.ToDictionary(name => name, Of),
            [.. visit.Stage.Parts().SelectMany(part => ModelsOf(part, rewards)).Distinct()]);
    }

    private static IEnumerable<string> ModelsOf(StageSpec part, IReadOnlyDictionary<string, RewardSpec>? rewards)
    {
        if (part.Objective is not AlignSpec align) return [];
        var own = (align.Loss as DistillSpec)?.Teacher ?? (align.Loss as PpoSpec)?.Critic;
        var judges = (align.Rewards?.Keys ?? []).Concat(align.Probes ?? []).Select(name => rewards?.GetValueOrDefault(name) switch
        {
            ModelRewardSpec model => model.Stage ?? model.Folder,
            JudgeRewardSpec judge => judge.Stage ?? judge.Folder,
            _ => null,
        });
        return judges.Prepend(own).OfType<string>();
    }

    private void Accept(string name, string what)
    {
        if (!accepted.Contains(name))
            throw new InputException($"{char.ToUpperInvariant(what[0])}{what[1..]}. What was trained so far would go on with something "
                + $"else. Put it back, begin again with --fresh, or accept it: --accept {name}.");
        observer.Note($"Accepted: {what}.");
    }

    private void Save()
    {
        var text = content.ToJsonString(JsonLayout.Indented) + "\n";
        if (!File.Exists(file) || File.ReadAllText(file) != text)
            AtomicFile.WriteText(file, text);
    }
}
