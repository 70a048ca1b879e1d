using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;

namespace Polymath.Tuning;

/// <summary>A kind of delta: its name in files, its settings, its sockets, and how it is attached.</summary>
/// <param name="Form">The form that recipes name.</param>
/// <param name="Type">Its name in files, PEFT's <c>peft_type</c>.</param>
/// <param name="Keys">The settings it understands besides those that every kind has.</param>
/// <param name="Attach">Attaches a delta of the kind.</param>
public sealed record DeltaMethod(DeltaForm Form, string Type, IReadOnlyList<string> Keys, Action<DeltaParts> Attach)
{
    /// <summary>The setting that says how big a delta is; a budget is solved for it.</summary>
    public string SizeKey { get; init; } = "r";

    /// <summary>The sockets that it takes when the recipe names none; none: the family's query and value.</summary>
    public IReadOnlyList<Socket> Roles { get; init; } = [];

    /// <summary>
    /// The setting that names stacks of experts as files hold them, in one weight for all; null where each expert is a map of its own in
    /// the delta's file, too.
    /// </summary>
    public string? StackKey { get; init; }

    /// <summary>Whether its sockets may be chosen. Prompts stand before the rows and have none.</summary>
    public bool HasSockets { get; init; } = true;

    /// <summary>
    /// The modules that it takes when the recipe names layers and no sockets; null: those of <see cref="Roles"/>. A kind that has this
    /// takes everything it can where neither is named, and then its file names no modules.
    /// </summary>
    public Func<LanguageModel, IReadOnlyList<string>>? AllModules { get; init; }

    /// <summary>Why layers cannot be chosen, and what to write instead; null where they can.</summary>
    public string? NoLayers { get; init; }

    /// <summary>The setting that holds the number of steps, where the kind's course depends on it; null for none.</summary>
    public string? StepsKey { get; init; }

    /// <summary>The settings that follow from a model and the modules chosen in it; null for none.</summary>
    public Func<LanguageModel, IReadOnlyList<string>, JsonObject>? Derived { get; init; }

    /// <summary>Whether PEFT's file has <c>layers_to_transform</c> for it.</summary>
    public bool HasLayers { get; init; } = true;

    /// <summary>Whether PEFT's file has <c>bias</c> for it; PEFT refuses the setting in files of other kinds.</summary>
    public bool HasBias { get; init; }

    /// <summary>Whether PEFT's file says <c>fan_in_fan_out</c> for maps that are stored transposed, as GPT-2's are.</summary>
    public bool KnowsTransposed { get; init; }

    /// <summary>Settings that would change nothing, and are refused in a fresh delta.</summary>
    public IReadOnlyList<IdleSetting> Idle { get; init; } = [];

    /// <summary>What PEFT's file holds even where nothing was chosen.</summary>
    public JsonObject Defaults { get; init; } = [];

    /// <summary>Throws what is wrong with settings whatever the model, before anything is trained.</summary>
    public Action<AdapterConfiguration>? Check { get; init; }
}
