using Polymath.Recipes;
using Polymath.Tuning.Deltas;
using Polymath.Tuning.Prompts;

namespace Polymath.Tuning;

/// <summary>The one place that names the kinds of deltas.</summary>
public static class DeltaMethods
{
    private static readonly DeltaMethod[] all =
    [
        Lora.Method,
        AdaLora.Method,
        Vera.Method,
        Loha.Method,
        Lokr.Method,
        Oft.Method,
        Boft.Method,
        Hra.Method,
        FourierFt.Method,
        Shira.Method,
        Ia3.Method,
        NormTuning.Method,
        PromptTuning.Method,
        PromptEncoder.Method,
        PrefixTuning.Method,
        AdaptionPrompt.Method,
        TrainableTokens.Method,
        Bottleneck.Method,
        BitFit.Method,
        Sparse.Method,
        Said.Method,
    ];

    private static readonly Dictionary<string, DeltaMethod> byType = all.ToDictionary(method => method.Type, StringComparer.Ordinal);
    private static readonly Dictionary<DeltaForm, DeltaMethod> byForm = all.ToDictionary(method => method.Form);

    /// <summary>The kinds, by their names in files.</summary>
    public static IReadOnlyCollection<string> Names => byType.Keys;

    /// <summary>The kind that a recipe names.</summary>
    /// <param name="form">The form.</param>
    public static DeltaMethod Of(DeltaForm form) => byForm[form];

    /// <summary>The kind that a configuration names.</summary>
    /// <param name="configuration">The configuration.</param>
    /// <exception cref="InputException">It is not known.</exception>
    public static DeltaMethod Of(AdapterConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        return byType.TryGetValue(configuration.Type, out var method)
            ? method
            : throw new InputException($"{configuration.Origin}: the kind of adapter '{configuration.Type}' (peft_type) is not known; "
                + $"known are {string.Join(", ", byType.Keys)}.");
    }
}
