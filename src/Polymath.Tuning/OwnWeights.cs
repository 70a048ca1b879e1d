using Polymath.Models;

namespace Polymath.Tuning;

/// <summary>What any adapter may train of the model itself: whole modules (<c>modules_to_save</c>) and biases (<c>bias</c>: none, all, or those of the changed maps).</summary>
static class OwnWeights
{
    internal static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        var plugged = parts.Targets.Select(target => target.Name).ToHashSet(StringComparer.Ordinal);
        foreach (var weight in parts.Model.Weights)
            if (Modules(weight).Any(module => configuration.FitsEnd("modules_to_save", module))) parts.Choose(weight, AdapterConfiguration.Prefix + weight.Name);
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
    }

    static void Biases(DeltaParts parts, HashSet<string> plugged, bool wrappedOnly)
    {
        foreach (var weight in parts.Model.Weights.Where(weight => weight.Name.EndsWith(".bias", StringComparison.Ordinal)))
        {
            var wrapped = plugged.Contains(Module(weight));
            // PEFT holds a changed map's own weights one level deeper.
            if (wrapped || !wrappedOnly) parts.Choose(weight, AdapterConfiguration.Prefix + (wrapped ? Module(weight) + ".base_layer.bias" : weight.Name));
        }
    }

    // The module that holds a weight, and all those around it: a block is saved with whatever is in it.
    static IEnumerable<string> Modules(Weight weight)
    {
        for (var at = weight.Name.LastIndexOf('.'); at > 0; at = weight.Name.LastIndexOf('.', at - 1)) yield return weight.Name[..at];
    }

    static string Module(Weight weight) => weight.Name.LastIndexOf('.') is > 0 and var at ? weight.Name[..at] : weight.Name;
}
