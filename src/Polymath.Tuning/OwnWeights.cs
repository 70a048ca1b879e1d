using Polymath.Models;

namespace Polymath.Tuning;

/// <summary>
/// The model's own weights that any adapter may train: whole modules (<c>modules_to_save</c>) and biases (<c>bias</c>: none, all, or those
/// of the changed maps).
/// </summary>
internal static class OwnWeights
{
    internal static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        var plugged = parts.Targets.Select(target => target.Name).ToHashSet(StringComparer.Ordinal);
        Untie(parts);
        foreach (var weight in parts.Model.Weights)
            if (SavedIn(parts, weight) is not null) parts.Choose(weight, parts.Configuration.OwnPrefix + weight.Name);
        switch (configuration.Text("bias") ?? "none")
        {
            case "none":
                break;
            case "all":
                Biases(parts, plugged, wrappedOnly: false);
                break;
            case "lora_only" or "boft_only" or "vera_only" or "oft_only" or "hra_only" or "fourier_only":
                Biases(parts, plugged, wrappedOnly: true);
                break;
            default:
                throw configuration.Fault("bias", "known are \"none\", \"all\" and \"lora_only\"");
        }
        var tokens = parts.Model.Tokens;
        // PEFT saves a table of tokens whose vectors it changes, and a head. PEFT saves the head without the part that PiSSA and OLoRA
        // subtract; here the head stays whole.
        if (parts.TargetsTokens) parts.Bring(tokens.Embedding, $"{AdapterConfiguration.Prefix}{tokens.Name}.base_layer.weight");
        if (!plugged.Contains(tokens.HeadMap.Name)) return;
        var head = $"{AdapterConfiguration.Prefix}{tokens.HeadMap.Name}.base_layer.weight";
        if (Deltas.LoraStart.IsAnchored(configuration)) parts.Keep(head, [.. tokens.Head.Shape]);
        else parts.Bring(tokens.Head, head);
    }

    // A saved module is a separate copy, so tied token vectors and head become untied, unless PEFT's settings keep them tied.
    private static void Untie(DeltaParts parts)
    {
        var tokens = parts.Model.Tokens;
        if (parts.Model.Labels is not null) return;
        var head = parts.Configuration.OwnPrefix + tokens.HeadMap.Name + ".weight";
        if (SavedIn(parts, tokens.Embedding) is null && SavedIn(parts, tokens.HeadMap.Name + ".weight") is null) return;
        // When PEFT keeps them tied, its file holds both.
        if (!tokens.IsTied || !parts.Configuration.Flag("ensure_weight_tying") || !parts.Echo(tokens.Embedding, head, fresh: true))
            parts.Untie();
    }

    private static void Biases(DeltaParts parts, HashSet<string> plugged, bool wrappedOnly)
    {
        foreach (var weight in parts.Model.Weights.Where(weight => weight.Name.EndsWith(".bias", StringComparison.Ordinal)))
        {
            var wrapped = plugged.Contains(Module(weight));
            if (!wrapped && wrappedOnly) continue;
            // In PEFT, a changed map's own weights are one level deeper.
            parts.Choose(weight, parts.Configuration.OwnPrefix + (wrapped ? Module(weight) + ".base_layer.bias" : weight.Name));
            if (SavedIn(parts, weight) is { } saved)
                Echo(parts, weight, parts.Configuration.OwnPrefix + saved, weight.Name[saved.Length..]);
        }
        // The bias of a masked-word head is stored in two places.
        if (!wrappedOnly && parts.Model.Tokens is { HeadBias: { } bias } tokens)
            parts.Echo(bias, $"{AdapterConfiguration.Prefix}{tokens.HeadMap.Name}.bias");
    }

    // PEFT writes the biases of a saved module two more times: those of the copy, and those of the original module, which are never read.
    private static void Echo(DeltaParts parts, Weight weight, string module, string rest)
    {
        parts.Echo(weight, $"{module}.modules_to_save{(rest == ".bias" ? "" : ".default")}{rest}");
        parts.Keep($"{module}.original_module{rest}", [.. weight.Shape]);
    }

    // The saved module that contains a weight, or null: a block is saved with everything in it.
    private static string? SavedIn(DeltaParts parts, Weight weight) => SavedIn(parts, weight.Name);

    private static string? SavedIn(DeltaParts parts, string name)
    {
        if (!parts.Configuration.Has("modules_to_save")) return null;
        return Modules(name).FirstOrDefault(module => parts.Configuration.FitsEnd("modules_to_save", module));
    }

    private static IEnumerable<string> Modules(string name)
    {
        for (var at = name.LastIndexOf('.'); at > 0; at = name.LastIndexOf('.', at - 1)) yield return name[..at];
    }

    private static string Module(Weight weight) => weight.Name.LastIndexOf('.') is > 0 and var at ? weight.Name[..at] : weight.Name;
}
