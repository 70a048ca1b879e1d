using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;

namespace Polymath.Tuning;

/// <summary>
/// Refuses names in a fresh adapter's settings that match nothing in the model: a misspelt module would be left out silently. Existing
/// files are not checked: PEFT writes the heads of several families into them.
/// </summary>
internal static class NamedSockets
{
    private static readonly string[] lists = ["target_modules", "exclude_modules", "modules_to_save"],
        patterns = ["rank_pattern", "alpha_pattern", "n_frequency_pattern"];

    /// <summary>Checks all names.</summary>
    /// <param name="model">The model.</param>
    /// <param name="configuration">The settings.</param>
    /// <exception cref="InputException">A module, a pattern or a layer does not exist.</exception>
    internal static void Check(LanguageModel model, AdapterConfiguration configuration)
    {
        var modules = Modules(model);
        foreach (var key in lists)
            foreach (var name in configuration.Raw(key) is JsonArray ? configuration.Texts(key) : [])
                if (!modules.Exists(module => key == "modules_to_save" ? Stands(name, module) : AdapterConfiguration.Means(name, module)))
                    throw configuration.Fault(
                        key, $"no module of a {model.Configuration["model_type"]} is called '{name}'; "
                            + $"{Nearest.Hint(name, [.. Ends(model)], "ends of its maps' names").TrimEnd('?')}");
        var fit = Changed(model, configuration.Type);
        foreach (var name in configuration.Raw("target_modules") is JsonArray && fit is not null
            ? configuration.Texts("target_modules")
            : [])
            if (!fit!.Exists(module => AdapterConfiguration.Means(name, module)))
                throw configuration.Fault(
                    "target_modules",
                    $"'{name}' is not a module that a {configuration.Type} changes; leave it out, or give it an adapter of its own kind");
        if (DeltaMethods.Of(configuration).StackKey is { } stackKey && configuration.Raw("target_modules") is JsonArray)
            foreach (var name in configuration.Texts("target_modules"))
                if (model.Projections.Where(map => AdapterConfiguration.Means(name, map.Name)).ToList() is { Count: > 0 } maps
                    && maps.TrueForAll(map => map.Stack is { IsWhole: true }))
                    throw configuration.Fault(
                        "target_modules",
                        $"the experts' '{name}' lies in one weight for all experts of a layer; name it in {stackKey}: "
                            + $"[{string.Join(", ", Deltas.LoraExperts.Names(maps))}], as PEFT does");
        foreach (var name in configuration.Type == "IA3" && configuration.Raw("target_modules") is JsonArray
            ? configuration.Texts("feedforward_modules")
            : [])
            if (!modules.Any(module => AdapterConfiguration.Means(name, module)
                && configuration.TargetModules.Any(target => AdapterConfiguration.Means(target, module))))
                throw configuration.Fault(
                    "feedforward_modules",
                    $"'{name}' is not among the maps that are changed, {string.Join(", ", configuration.TargetModules)}; name it "
                        + "there, too");
        // Stacked experts have sizes, too.
        List<string> sized = [.. modules, .. model.Projections.Select(map => map.Stack?.Name).OfType<string>().Distinct()];
        foreach (var key in patterns)
            foreach (var (pattern, _) in configuration.Raw(key) as JsonObject ?? [])
                if (!sized.Exists(module => configuration.FitsPattern(key, pattern, module, within: key == "n_frequency_pattern")))
                    throw configuration.Fault(key, $"'{pattern}' matches no module of a {model.Configuration["model_type"]}");
        var count = model.Projections.Max(map => map.Layer) + 1;
        if (configuration.Texts("layers_to_transform")
            .FirstOrDefault(text => !int.TryParse(text, out var layer) || layer < 0 || layer >= count) is { } odd)
            throw configuration.Fault("layers_to_transform", $"there is no layer {odd}: the model has {count}, counted from 0");
    }

    private static List<string> Modules(LanguageModel model) =>
    [
        .. model.Weights.Where(weight => weight.Name.Contains('.', StringComparison.Ordinal))
            .Select(weight => weight.Name[..weight.Name.LastIndexOf('.')])
            .Concat(model.Projections.Select(map => map.Name))
            .Concat(model.Attentions.Select(socket => socket.Name))
            .Append(model.Tokens.HeadMap.Name)
            .Distinct(),
    ];

    // The modules that a kind of adapter can change; null when the kind itself checks them.
    private static List<string>? Changed(LanguageModel model, string type) => type switch
    {
        "LN_TUNING" =>
            [.. model.Weights.Where(weight => weight.Shape.Count == 1).Select(weight => weight.Name[..weight.Name.LastIndexOf('.')])],
        "TRAINABLE_TOKENS" => null,
        "POLYMATH_BITFIT" => [.. model.Weights.Where(weight => weight.Name.EndsWith(".bias", StringComparison.Ordinal))
            .Select(weight => weight.Name[..^".bias".Length]), .. model.Projections.Select(map => map.Name)],
        _ => [
            .. model.Projections.Select(map => map.Name), model.Tokens.HeadMap.Name, .. type == "LORA" ? [model.Tokens.Name] : (string[])[],
        ],
    };

    // A module that is saved whole may be a head of several maps, all of which are saved. It is named by the end of its name, which may
    // start within a word.
    private static bool Stands(string name, string module) => $"{module}.".Contains(name + ".", StringComparison.Ordinal);

    private static IEnumerable<string> Ends(LanguageModel model) =>
        model.Projections.Select(map => map.Name[(map.Name.LastIndexOf('.') + 1)..]).Distinct(StringComparer.Ordinal);
}
