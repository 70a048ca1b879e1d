using Polymath.Recipes;
namespace Polymath.Tuning.Deltas;

/// <summary>
/// Norm tuning (Zhao et al. 2024): only the norms of the model are trained. As in PEFT's files, there is a trained copy of each norm's
/// weight and bias.
/// </summary>
public static class NormTuning
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.NormTuning,
        "LN_TUNING",
        ["bias"],
        Attach)
    {
        Roles = [Socket.Norm],
        HasLayers = false,
    };

    private static void Attach(DeltaParts parts)
    {
        foreach (var weight in parts.Model.Weights.Where(weight => weight.Shape.Count == 1))
        {
            var dot = weight.Name.LastIndexOf('.');
            if (parts.Configuration.Targets(weight.Name[..dot], linear: false))
                parts.Choose(weight, $"{AdapterConfiguration.Prefix}{weight.Name[..dot]}.ln_tuning_layers.{weight.Name[(dot + 1)..]}");
        }
    }
}
