using Polymath.Recipes;
using Polymath.Tuning.Deltas;
using Polymath.Tuning.Prompts;

namespace Polymath.Tuning;

/// <summary>A kind of adapter.</summary>
/// <param name="Keys">The settings it has in addition to those of all kinds.</param>
/// <param name="Attach">Attaches an adapter of the kind.</param>
public sealed record DeltaMethod(IReadOnlyList<string> Keys, Action<DeltaParts> Attach)
{
    /// <summary>The setting that controls an adapter's size; it is computed from a budget.</summary>
    public string SizeKey { get; init; } = "r";

    /// <summary>Checks the settings without a model, before anything is trained.</summary>
    public Action<AdapterConfiguration>? Check { get; init; }
}

/// <summary>All kinds of adapters, by their <c>peft_type</c>.</summary>
public static class DeltaMethods
{
    private static readonly Dictionary<string, DeltaMethod> known = new(StringComparer.Ordinal)
    {
        ["LORA"] = Lora.Method,
        ["ADALORA"] = AdaLora.Method,
        ["VERA"] = Vera.Method,
        ["LOHA"] = Loha.Method,
        ["LOKR"] = Lokr.Method,
        ["OFT"] = Oft.Method,
        ["BOFT"] = Boft.Method,
        ["HRA"] = Hra.Method,
        ["FOURIERFT"] = FourierFt.Method,
        ["SHIRA"] = Shira.Method,
        ["IA3"] = Ia3.Method,
        ["LN_TUNING"] = NormTuning.Method,
        ["PROMPT_TUNING"] = PromptTuning.Method,
        ["P_TUNING"] = PromptEncoder.Method,
        ["PREFIX_TUNING"] = PrefixTuning.Method,
        ["ADAPTION_PROMPT"] = AdaptionPrompt.Method,
        ["TRAINABLE_TOKENS"] = TrainableTokens.Method,
        ["POLYMATH_BOTTLENECK"] = Bottleneck.Method,
        ["POLYMATH_BITFIT"] = BitFit.Method,
        ["POLYMATH_SPARSE"] = Sparse.Method,
        ["POLYMATH_SAID"] = Said.Method,
    };

    /// <summary>The kinds, by their names in files.</summary>
    public static IReadOnlyCollection<string> Names => known.Keys;

    /// <summary>The kind that a configuration names.</summary>
    /// <param name="configuration">The configuration.</param>
    /// <exception cref="InputException">It is not known.</exception>
    public static DeltaMethod Of(AdapterConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        return known.TryGetValue(configuration.Type, out var method)
            ? method
            : throw new InputException($"{configuration.Origin}: the kind of adapter '{configuration.Type}' (peft_type) is not known; "
                + $"known are {string.Join(", ", known.Keys)}.");
    }
}
