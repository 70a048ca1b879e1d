namespace Polymath.Recipes;

/// <summary>Well-known names of methods, each with the description of its delta.</summary>
public static class DeltaPresets
{
    private static readonly IReadOnlyDictionary<string, DeltaSpec> known = new Dictionary<string, DeltaSpec>(
        StringComparer.OrdinalIgnoreCase)
    {
        ["rslora"] = new(DeltaForm.Lora, Settings: Set(("use_rslora", "true"))),
        ["dora"] = new(DeltaForm.Lora, Settings: Set(("use_dora", "true"))),
        ["pissa"] = new(DeltaForm.Lora, Settings: Set(("init_lora_weights", "pissa"))),
        ["olora"] = new(DeltaForm.Lora, Settings: Set(("init_lora_weights", "olora"))),
        ["eva"] = new(DeltaForm.Lora, Settings: Set(("init_lora_weights", "eva"))),
        ["houlsby"] = new(DeltaForm.Adapter, [Socket.Output, Socket.Down], Settings: Set(("insertion", "sequential"))),
        ["pfeiffer"] = new(DeltaForm.Adapter, [Socket.Down], Settings: Set(("insertion", "sequential"))),
        ["parallel"] = new(DeltaForm.Adapter, [Socket.Down], Settings: Set(("insertion", "parallel"))),
        ["scaledParallel"] = new(DeltaForm.Adapter, [Socket.Down], Settings: Set(("insertion", "parallel"), ("learned_scale", "true"))),
        ["multiHead"] = new(DeltaForm.Adapter, [Socket.Output], Settings: Set(("insertion", "multihead"))),
        ["compacter"] = new(DeltaForm.Adapter, [Socket.Output, Socket.Down], Settings: Set(("phm_dim", "4"))),
        ["gated"] = new(DeltaForm.Adapter, [Socket.Output, Socket.Down], Settings: Set(("composition", "gated"))),
        ["pTuningV2"] = new(DeltaForm.PrefixTuning),
        ["prefix"] = new(DeltaForm.PrefixTuning, Settings: Set(("prefix_projection", "true"))),
        ["llamaAdapter"] = new(DeltaForm.AdaptionPrompt),
        ["fish"] = new(DeltaForm.Sparse, Settings: Set(("choose", "fisher"))),
    };

    private static Dictionary<string, string> Set(params (string Key, string Value)[] settings) =>
        settings.ToDictionary(pair => pair.Key, pair => pair.Value);

    /// <summary>The names, in addition to those of the forms.</summary>
    public static IEnumerable<string> Names => known.Keys;

    /// <summary>The description that a name stands for: the name of a form or of a preset.</summary>
    /// <param name="name">The name.</param>
    /// <exception cref="InputException">It is not known.</exception>
    public static DeltaSpec Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (known.TryGetValue(name, out var preset)) return preset;
        if (Enum.TryParse<DeltaForm>(name, ignoreCase: true, out var form) && Enum.IsDefined(form) && !char.IsDigit(name[0]))
            return new DeltaSpec(form);
        var all = Enum.GetValues<DeltaForm>().Select(one => Shape.Camel(one.ToString())).Concat(Names).ToList();
        throw new InputException($"There is no delta '{name}'; "
            + $"{(Nearest.To(name, all) is { } near ? $"did you mean '{near}'?" : $"known are {string.Join(", ", all)}.")}");
    }
}
