using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tuning;

namespace Polymath.Cli;

/// <summary>Which model a verb talks to: a folder, a run's stage, an adapter on it; the same options for every verb.</summary>
sealed class ModelChoice
{
    readonly Argument<string> folder = new("folder") { Description = "A run's folder or a model's" + HubUse.Or };
    readonly Option<string?> stage = new("--stage") { Description = "A run's stage; the last finished one when left out." };
    readonly Option<string?> adapter = new("--adapter") { Description = "An adapter's folder or its address on a hub, put on the model. A stage that kept its adapter apart brings its own." };

    readonly Option<BasePrecision?> precision = new("--base") { Description = "How the model's linear maps are held: float32, bfloat16, float16, int8 or nf4; as in the files when left out. Fewer bits take less memory and round the weights." };

    readonly AllowedWeights allowed = new();
    readonly AnyBase anyBase = new();
    readonly HubUse hubs = new();

    internal void AddTo(Command command)
    {
        command.Add(precision);
        command.Add(folder);
        command.Add(stage);
        command.Add(adapter);
        allowed.AddTo(command);
        anyBase.AddTo(command);
        hubs.AddTo(command);
    }

    internal HubUse Hubs => hubs;

    internal string Folder(ParseResult parsed) => parsed.GetRequiredValue(folder);

    internal OpenedModel Open(ParseResult parsed)
    {
        TorchRuntime.Load();
        return OpenedModel.Open(TextModel.Locate(hubs.Model(parsed, parsed.GetRequiredValue(folder)), parsed.GetValue(stage)), hubs.Adapter(parsed, parsed.GetValue(adapter)), allowed.Read(parsed), parsed.GetValue(precision), anyBase.Read(parsed));
    }
}

/// <summary>The option that lets files hold weights that the model does not need; the same for every verb that opens a model.</summary>
sealed class AllowedWeights
{
    readonly Option<string[]> allow = new("--allow") { Description = "Names of weights that the files may hold and the model does not need; the message that refuses them names them.", AllowMultipleArgumentsPerToken = true };

    internal void AddTo(Command command) => command.Add(allow);

    internal IReadOnlyCollection<string> Read(ParseResult parsed) => parsed.GetValue(allow) ?? [];
}

/// <summary>The option that puts an adapter on another model than the one it was made for; the same for every verb that takes an adapter.</summary>
sealed class AnyBase
{
    readonly Option<bool> any = new("--any-base") { Description = "Puts the adapter on the model even where its file says that it was made for another." };

    internal void AddTo(Command command) => command.Add(any);

    internal bool Read(ParseResult parsed) => parsed.GetValue(any);
}

/// <summary>A model and the adapters on it, opened together.</summary>
sealed class OpenedModel : IDisposable
{
    readonly AttachedAdapters? adapters;

    OpenedModel(TextModel text, string place, AttachedAdapters? adapters) => (Text, Place, this.adapters) = (text, place, adapters);

    /// <summary>The model.</summary>
    internal TextModel Text { get; }

    /// <summary>The model's own folder.</summary>
    internal string Place { get; }

    internal static OpenedModel Open(string place, string? adapter, IReadOnlyCollection<string>? allowed = null, BasePrecision? precision = null, bool anyBase = false)
    {
        var text = TextModel.Open(place, allowed);
        try
        {
            text.Model.Hold(precision);
            return new OpenedModel(text, place, (adapter ?? OwnAdapter(place)) is { } folder ? AttachedAdapters.Load(text.Model, folder, anyBase) : null);
        }
        catch
        {
            text.Dispose();
            throw;
        }
    }

    // A stage that did not merge its adapter says so in its report.
    static string? OwnAdapter(string place)
    {
        var stage = Path.GetDirectoryName(Path.GetFullPath(place))!;
        string adapter = Path.Combine(stage, "adapter"), report = Path.Combine(stage, "report.json");
        if (!Directory.Exists(adapter) || !File.Exists(report)) return null;
        try
        {
            return JsonNode.Parse(File.ReadAllBytes(report))?["report"]?["unmerged"]?.GetValue<bool>() is true ? adapter : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new InputException($"{report} is damaged: {e.Message} Restore it, or name the adapter with --adapter {adapter}.", e);
        }
    }

    public void Dispose()
    {
        adapters?.Dispose();
        Text.Dispose();
    }
}
