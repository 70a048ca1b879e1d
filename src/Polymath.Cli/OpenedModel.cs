using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Text.Templates;
using Polymath.Tuning;

namespace Polymath.Cli;

/// <summary>The model that a verb uses: a folder, a run's stage, an adapter on it; the same options for every verb.</summary>
/// <param name="named">Whether several adapters may be given by name, for rows or messages that choose among them.</param>
internal sealed class ModelChoice(bool named = false)
{
    private readonly Argument<string> folder = new("folder") { Description = "A run's folder or a model's" + HubUse.Or };
    private readonly Option<string?> stage = new("--stage") { Description = "A run's stage; the last finished one when left out." };
    private readonly Option<string?> adapter = new("--adapter")
    {
        Description = "An adapter's folder or its address on a hub, put on the model. A stage that kept its adapter apart has its own.",
    };

    private readonly Option<string[]> adapters = new("--adapters")
    {
        Description = "Several adapters by name, NAME=FOLDER, attached to the one model together; may be given several times.",
        AllowMultipleArgumentsPerToken = true,
    };

    private readonly Option<BasePrecision?> precision = new("--base") { Description = "How the model's linear maps are stored: float32, "
        + "bfloat16, float16, int8 or nf4; as in the files when left out. Fewer bits take less memory and round the weights." };

    private readonly AllowedWeights allowed = new();
    private readonly AnyBase anyBase = new();
    private readonly HubUse hubs = new();

    internal void AddTo(Command command)
    {
        command.Add(precision);
        command.Add(folder);
        command.Add(stage);
        command.Add(adapter);
        if (named) command.Add(adapters);
        allowed.AddTo(command);
        anyBase.AddTo(command);
        hubs.AddTo(command);
    }

    internal HubUse Hubs => hubs;

    /// <summary>The folder of the adapter that a model is opened with; null for none.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="place">The model's folder.</param>
    internal string? AdapterOf(ParseResult parsed, string place) =>
        hubs.Adapter(parsed, parsed.GetValue(adapter)) ?? OpenedModel.OwnAdapter(place);

    internal string Folder(ParseResult parsed) => parsed.GetRequiredValue(folder);

    /// <summary>The stages that are named, several parted by commas.</summary>
    /// <param name="parsed">The command line.</param>
    internal IReadOnlyList<string> Stages(ParseResult parsed) => Words.List(parsed.GetValue(stage) ?? "");

    /// <summary>Opens one of several models, each with the adapter that its stage kept apart.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="place">The model's folder.</param>
    /// <exception cref="InputException">An adapter is named, which belongs to one model.</exception>
    internal OpenedModel OpenOne(ParseResult parsed, string place)
    {
        if (parsed.GetValue(adapter) is not null)
            throw new InputException("--adapter is put on one model, but --stage names several. Leave it out; a stage has its own.");
        TorchRuntime.Load();
        return OpenedModel.Open(
            place,
            null,
            allowed.Read(parsed),
            parsed.GetValue(precision),
            anyBase.Read(parsed));
    }

    /// <summary>Opens the model and its adapters.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="choosing">Whether the caller chooses among adapters that have their own rows.</param>
    /// <param name="template">The chat template; null for the model's own.</param>
    internal OpenedModel Open(ParseResult parsed, bool choosing = false, TemplateChoice? template = null)
    {
        var several = named ? Named(parsed) : [];
        if (several.Count > 0 && parsed.GetValue(adapter) is not null)
            throw new InputException("--adapter attaches one adapter for all, --adapters several to choose from. Give one of the "
                + "two options.");
        if (several.Count > 0 && !choosing)
            throw new InputException("--adapters gives adapters that rows choose from, but there is only one prompt. Give the one "
                + "adapter with --adapter FOLDER, or rows that name theirs with --input FILE.");
        TorchRuntime.Load();
        return OpenedModel.Open(
            TextModel.Locate(hubs.Model(parsed, parsed.GetRequiredValue(folder)), parsed.GetValue(stage)),
            hubs.Adapter(parsed, parsed.GetValue(adapter)),
            allowed.Read(parsed),
            parsed.GetValue(precision),
            anyBase.Read(parsed),
            choosing ? several : null,
            template is null ? null : contract => template.Apply(parsed, contract));
    }

    private List<(string Name, string Folder)> Named(ParseResult parsed) => [.. (parsed.GetValue(adapters) ?? [])
        .SelectMany(Words.List).Select(text => text.Split('=', 2) is [{ Length: > 0 } name, { Length: > 0 } place]
            ? (name.Trim(), hubs.Adapter(parsed, place.Trim())!)
            : throw new InputException($"--adapters has '{text}'; write NAME=FOLDER, such as german=adapters/german."))];
}

/// <summary>
/// The option that allows files to have weights that the model does not need; the same for every verb that opens a model.
/// </summary>
internal sealed class AllowedWeights
{
    private readonly Option<string[]> allow = new("--allow")
    {
        Description = "Names of weights in the files that the model does not need; the message that refuses such weights names them.",
        AllowMultipleArgumentsPerToken = true,
    };

    internal void AddTo(Command command) => command.Add(allow);

    internal IReadOnlyCollection<string> Read(ParseResult parsed) => parsed.GetValue(allow) ?? [];
}

/// <summary>
/// The option that attaches an adapter to another model than the one it was trained on; the same for every verb with an adapter.
/// </summary>
internal sealed class AnyBase
{
    private readonly Option<bool> any =
        new("--any-base") { Description = "Attaches the adapter to the model even when its file says that it was trained on another." };

    internal void AddTo(Command command) => command.Add(any);

    internal bool Read(ParseResult parsed) => parsed.GetValue(any);
}

/// <summary>A model with its adapters, opened together.</summary>
internal sealed class OpenedModel : IDisposable
{
    private readonly AttachedAdapters? adapters;

    private OpenedModel(TextModel text, string place, AttachedAdapters? adapters, NamedAdapters? named) =>
        (Text, Place, this.adapters, Named) = (text, place, adapters, named);

    /// <summary>The adapters to choose from; null when there are none.</summary>
    internal NamedAdapters? Named { get; }

    /// <summary>The model.</summary>
    internal TextModel Text { get; }

    /// <summary>The model's own folder.</summary>
    internal string Place { get; }

    /// <summary>Opens a model's folder.</summary>
    /// <param name="place">The folder.</param>
    /// <param name="adapter">The adapter that is attached for all; the stage's own when left out.</param>
    /// <param name="allowed">Names of further weights that the files may have.</param>
    /// <param name="precision">How the maps are stored.</param>
    /// <param name="anyBase">Whether adapters may be attached to another model than theirs.</param>
    /// <param name="named">Adapters to choose from, or an empty list, when the caller chooses; a stage that routed its rows adds its
    /// adapters. Null when there is no choice.</param>
    /// <param name="layout">Changes the layout of conversations; null keeps the model's own.</param>
    internal static OpenedModel Open(
        string place,
        string? adapter,
        IReadOnlyCollection<string>? allowed = null,
        BasePrecision? precision = null,
        bool anyBase = false,
        IReadOnlyList<(string Name, string Folder)>? named = null,
        Func<TextContract, TextContract>? layout = null)
    {
        var text = Noted.OpenText(place, allowed, layout);
        try
        {
            text.Model.Quantize(precision);
            var folder = adapter ?? (named is { Count: > 0 } ? null : OwnAdapter(place));
            if (named is { Count: 0 } && folder is not null && AttachedAdapters.RoutedNames(folder) is { } routed)
                named = [.. routed.Select(name => (name, Path.Combine(folder, name)))];
            if (named is { Count: > 0 })
                return new OpenedModel(text, place, null, NamedAdapters.Load(text.Model, named, anyBase));
            return new OpenedModel(text, place, folder is null ? null : AttachedAdapters.Load(text.Model, folder, anyBase), null);
        }
        catch
        {
            text.Dispose();
            throw;
        }
    }

    /// <summary>The adapter that a stage keeps apart: its report says whether it was merged.</summary>
    /// <param name="place">The model's folder.</param>
    internal static string? OwnAdapter(string place)
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
        Named?.Dispose();
        adapters?.Dispose();
        Text.Dispose();
    }
}
