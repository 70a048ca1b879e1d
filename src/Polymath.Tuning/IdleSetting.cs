using Polymath.Recipes;

namespace Polymath.Tuning;

/// <summary>
/// A setting of a fresh delta that would change nothing: PEFT's files hold it without a meaning here, or it belongs to another choice. It
/// is refused; a file that was read may hold it.
/// </summary>
/// <param name="Key">The setting, by PEFT's name.</param>
/// <param name="IsIdle">Whether it changes nothing under these settings.</param>
/// <param name="Wish">What to do.</param>
/// <param name="BySize">Whether it depends on how big the delta is.</param>
public sealed record IdleSetting(
    string Key,
    Func<AdapterConfiguration, bool> IsIdle,
    string Wish,
    bool BySize = false)
{
    private static readonly IdleSetting[] common =
    [
        new(
            "layers_pattern",
            configuration => !configuration.Has("layers_to_transform"),
            "it says where the numbers of layers are in names; name some layers, or leave it out"),
        new(
            "ensure_weight_tying",
            configuration => configuration.Flag("ensure_weight_tying") && configuration.Texts("modules_to_save").Count == 0,
            "it belongs to modules_to_save"),
    ];

    /// <summary>A setting that never changes anything.</summary>
    /// <param name="key">The setting.</param>
    /// <param name="wish">What to do.</param>
    internal static IdleSetting Always(string key, string wish) => new(key, _ => true, wish);

    /// <summary>A setting that belongs to one value of another.</summary>
    /// <param name="key">The setting.</param>
    /// <param name="other">The other setting.</param>
    /// <param name="value">Its value.</param>
    internal static IdleSetting Unless(string key, string other, string value) =>
        new(
            key,
            configuration => !string.Equals(configuration.Text(other), value, StringComparison.OrdinalIgnoreCase),
            $"it belongs to {other}: {value}");

    /// <summary>The choice of a start, where there is one start.</summary>
    /// <param name="key">The setting.</param>
    internal static IdleSetting OneStart(string key = "init_weights") =>
        new(key, configuration => configuration.Text(key) != "true", "a fresh one has only one initialization; leave it out");

    /// <summary>What a prompt has no use for: it has no layers and no sockets to choose.</summary>
    internal static IReadOnlyList<IdleSetting> OfPrompts { get; } =
    [
        Always("layers_to_transform", "a prompt has no layers to choose; leave layers out"),
        Always("exclude_modules", "a prompt has no sockets; leave it out"),
    ];

    /// <summary>Checks the settings of a fresh delta.</summary>
    /// <param name="configuration">The settings.</param>
    /// <param name="sized">Whether it is known how big the delta is; a budget may still be solved for it.</param>
    /// <exception cref="InputException">One of them would change nothing.</exception>
    internal static void Check(AdapterConfiguration configuration, bool sized = true)
    {
        foreach (var setting in DeltaMethods.Of(configuration).Idle.Concat(common).Where(setting => sized || !setting.BySize))
            if (configuration.Has(setting.Key) && setting.IsIdle(configuration)) throw configuration.Fault(setting.Key, setting.Wish);
    }
}
