using System.Globalization;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;

namespace Polymath.Tuning;

/// <summary>
/// Turns a recipe's description of a delta into PEFT's settings for a model: roles become modules, a budget becomes a size.
/// </summary>
public static class DeltaPlan
{
    /// <summary>Checks a description without a model, so that faults are reported before the first stage.</summary>
    /// <param name="spec">The description.</param>
    /// <param name="place">Its place, for messages.</param>
    /// <param name="steps">The stage's steps, when it is counted in steps.</param>
    public static void Check(DeltaSpec spec, string place, int? steps = null)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var method = DeltaMethods.Of(spec.Form);
        var content = new JsonObject { ["peft_type"] = method.Type };
        if (spec.Roles is not null && spec.TargetModules is not null)
            throw new InputException($"{place}: roles and targetModules both name the sockets; give one of them.");
        if (spec.Settings?.ContainsKey("peft_type") == true)
            throw new InputException($"{place}: settings name peft_type, which 'form' already says; leave it out.");
        if (spec.Budget is not null) Share(spec.Budget);
        foreach (var (key, value) in spec.Settings ?? new Dictionary<string, string>()) content[key] = Value(value);
        CheckBudget(spec, place);
        if (spec.Layers is not null) content["layers_to_transform"] = new JsonArray();
        var configuration = AdapterConfiguration.Of(content, place);
        configuration.Understands(method.Keys, strict: true);
        IdleSetting.Check(configuration, sized: spec.Budget is null);
        if (method.StepsKey is { } stepsKey && !configuration.Has(stepsKey) && steps is { } known) configuration.Set(stepsKey, known);
        method.Check?.Invoke(configuration);
    }

    /// <summary>Whether a form has sockets that can be chosen.</summary>
    /// <param name="form">The form.</param>
    public static bool HasSockets(DeltaForm form) => DeltaMethods.Of(form).HasSockets;

    /// <summary>Whether a form's size can be chosen, and so be computed from a budget.</summary>
    /// <param name="form">The form.</param>
    public static bool HasSize(DeltaForm form) => DeltaMethods.Of(form) is var method && method.Keys.Contains(method.SizeKey);

    /// <summary>Whether a form has a setting.</summary>
    /// <param name="form">The form.</param>
    /// <param name="setting">The setting, by PEFT's name.</param>
    public static bool Knows(DeltaForm form, string setting) => DeltaMethods.Of(form).Keys.Contains(setting);

    /// <summary>The settings that a form has, by PEFT's names.</summary>
    /// <param name="form">The form.</param>
    public static IReadOnlyList<string> SettingsOf(DeltaForm form) => DeltaMethods.Of(form).Keys;

    private static void CheckBudget(DeltaSpec spec, string place)
    {
        if (spec.Budget is null) return;
        var size = DeltaMethods.Of(spec.Form).SizeKey;
        if (spec.Settings?.ContainsKey(size) == true)
            throw new InputException($"{place}: budget computes {size}, and settings name it, too; give one of them.");
        if (!HasSize(spec.Form))
            throw new InputException($"{place}.budget: {System.Text.Json.JsonNamingPolicy.CamelCase.ConvertName(spec.Form.ToString())} has "
                + "no size that a budget could set: it trains what its sockets have. Leave out budget, or name fewer roles or layers.");
    }

    /// <summary>The configuration of a fresh adapter.</summary>
    /// <param name="model">The model.</param>
    /// <param name="spec">The description.</param>
    /// <param name="basis">The base model's name or folder, for the file.</param>
    /// <exception cref="InputException">The model has no such sockets, the form no such setting, or the budget is too small.</exception>
    public static AdapterConfiguration Configure(LanguageModel model, DeltaSpec spec, string basis = "")
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(spec);
        if (spec.Roles is not null && spec.TargetModules is not null)
            throw new InputException("method: roles and targetModules both name the sockets; give one of them.");
        CheckBudget(spec, "method");
        var method = DeltaMethods.Of(spec.Form);
        var content = new JsonObject
        {
            ["base_model_name_or_path"] = basis, ["inference_mode"] = true, ["peft_type"] = method.Type, ["revision"] = null,
            ["task_type"] = Task(model),
        };
        // PEFT's other kinds do not know this setting and report it when they read it.
        if (method.HasBias) content["bias"] = "none";
        if (spec.Layers is { } asked
            && asked.FirstOrDefault(layer => layer > model.Projections.Max(map => map.Layer), -1) is >= 0 and var odd)
            throw new InputException($"method.layers names {odd}; the model has {model.Projections.Max(map => map.Layer) + 1} layers, "
                + "counted from 0.");
        if (!method.HasSockets)
        {
            if (spec.Roles is not null || spec.TargetModules is not null)
                throw new InputException($"method: {spec.Form} is not attached to linear maps and has no sockets; leave out roles and "
                    + "targetModules.");
            if (method.NoLayers is { } wish && spec.Layers is not null) throw new InputException($"method.layers: {wish}.");
            content[method.SizeKey] = 8;
        }
        else if (method.AllModules is null || spec.Roles is not null || spec.TargetModules is not null || spec.Layers is not null)
        {
            var stacks = method.StackKey is not null && spec.TargetModules is null
                ? Stacks(model, spec.Roles ?? method.Roles, spec.Layers)
                : [];
            if (stacks.Count > 0) content[method.StackKey!] = AdapterConfiguration.Named(stacks);
            var named = spec.TargetModules ?? (spec.Roles is null ? method.AllModules?.Invoke(model) : null)
                ?? Modules(model, spec.Roles ?? method.Roles, besideStacks: method.StackKey is not null);
            var modules = named.Count == 0 && stacks.Count > 0 ? [] : InLayers(
                model,
                named,
                spec.Layers,
                wholeNames: !method.HasLayers);
            content["target_modules"] = AdapterConfiguration.Named(modules);
            foreach (var (key, value) in method.Derived?.Invoke(model, modules) ?? []) content[key] = value?.DeepClone();
        }
        if (spec.Layers is not null && method.HasLayers)
            content["layers_to_transform"] = new JsonArray([.. spec.Layers.Select(layer => JsonValue.Create(layer))]);
        foreach (var (key, value) in spec.Settings ?? new Dictionary<string, string>()) content[key] = Value(value);
        var configuration = AdapterConfiguration.Of(content, "method.settings");
        configuration.Understands(method.Keys, strict: true);
        IdleSetting.Check(configuration, sized: spec.Budget is null);
        NamedSockets.Check(model, configuration);
        if (spec.Budget is not null) IdleSetting.Check(configuration = Solve(model, content, spec.Budget));
        configuration.Fill(method.Defaults);
        Fit(configuration, model);
        LearnHead(configuration, model);
        return configuration;
    }

    /// <summary>
    /// PEFT's name for the task, by which PEFT chooses a wrapper for the model. Null when the wrapper would need what the file does not
    /// have: text generation, or the copy of a head over labels, for which <see cref="LearnHead"/> sets the task.
    /// </summary>
    /// <param name="model">The model.</param>
    public static string? Task(LanguageModel model) => model switch
    {
        { Labels: not null } or { Reading: Reading.Encoder } => null,
        { Reading: Reading.EncoderDecoder } => "SEQ_2_SEQ_LM",
        _ => "CAUSAL_LM",
    };

    /// <summary>
    /// Lets a head over labels be trained and saved with an adapter, as PEFT does for these tasks. PEFT saves modules named
    /// <c>classifier</c> or <c>score</c>; here, other names of a family's head are saved, too.
    /// </summary>
    /// <param name="configuration">A configuration for the model.</param>
    /// <param name="model">The model.</param>
    internal static void LearnHead(AdapterConfiguration configuration, LanguageModel model)
    {
        if (model.Labels is not { } head) return;
        if (configuration.Raw("modules_to_save") is JsonValue)
            throw configuration.Fault("modules_to_save", "a list of names is needed; the head over labels is saved in addition");
        if (!configuration.Has("task_type")) configuration.Set("task_type", head.Task == LabelTask.Tag ? "TOKEN_CLS" : "SEQ_CLS");
        configuration.Set("modules_to_save", new JsonArray([.. configuration.Texts("modules_to_save")
            .Concat(["classifier", "score"]).Concat(head.Modules).Distinct().Select(name => JsonValue.Create(name))]));
    }

    // In PEFT, a whole name matches its module even when other layers are named, so modules of other layers are left out here. Kinds
    // without a setting for layers get whole names only.
    private static IReadOnlyList<string> InLayers(
        LanguageModel model, IReadOnlyList<string> modules, IReadOnlyList<int>? layers, bool wholeNames)
    {
        if (layers is null) return modules;
        var whole = model.Weights.Select(weight => weight.Name[..Math.Max(0, weight.Name.LastIndexOf('.'))])
            .Concat(model.Projections.Select(map => map.Name)).Distinct(StringComparer.Ordinal).ToList();
        bool Stands(string module) =>
            AdapterConfiguration.BlockOf(module, []) is { } block && layers.Contains(int.Parse(block, CultureInfo.InvariantCulture));
        IEnumerable<string> Spelled(string module)
        {
            if (whole.Contains(module)) return [module];
            if (!wholeNames) return [];
            return module == "all-linear"
                ? model.Projections.Where(map => map.Role is not (Role.Head or Role.Router)).Select(map => map.Name)
                : whole.Where(name => name.EndsWith("." + module, StringComparison.Ordinal));
        }
        List<string> kept = [.. modules.SelectMany(
            module => Spelled(module).ToList() is { Count: > 0 } names ? names.Where(Stands) : [module])];
        if (kept.Count > 0) return kept;
        throw new InputException($"method.layers: {string.Join(", ", modules)} {(modules.Count == 1 ? "stands" : "stand")} in none "
            + $"of the layers {string.Join(", ", layers)}. Name other layers, or leave them out.");
    }

    // Numbers, true or false, and lists are kept; everything else is a text.
    private static JsonNode? Value(string text)
    {
        if (text.Length == 0
            || !(char.IsDigit(text[0]) || "-[{".Contains(text[0], StringComparison.Ordinal) || text is "true" or "false" or "null"))
            return text;
        try
        {
            return JsonNode.Parse(text);
        }
        catch (System.Text.Json.JsonException)
        {
            return text;
        }
    }

    /// <summary>Sets whether the changed maps are stored transposed in the model, as GPT-2's are.</summary>
    /// <param name="configuration">A configuration for the model.</param>
    /// <param name="model">The model.</param>
    internal static void Fit(AdapterConfiguration configuration, LanguageModel model)
    {
        if (DeltaMethods.Of(configuration).KnowsTransposed && model.Projections.Any(map => map.Transposed && configuration.Targets(map)))
            configuration.Set("fan_in_fan_out", true);
    }

    /// <summary>The modules of sockets, by the ends of their names when these match the same modules.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sockets">The sockets; none: the family's query and value.</param>
    /// <param name="besideStacks">Whether experts that files hold in one weight are left out.</param>
    public static IReadOnlyList<string> Modules(LanguageModel model, IReadOnlyList<Socket> sockets, bool besideStacks = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sockets);
        if (sockets.Count == 0) return model.DefaultTargets;
        var lacking = sockets.Where(socket => !Has(model, socket)).ToList();
        if (lacking.Count > 0)
            throw new InputException($"method.roles: a {model.Configuration["model_type"]} has none of "
                + $"{string.Join(", ", lacking.Select(socket => socket.ToString().ToLowerInvariant()))}. Its sockets are "
                + $"{string.Join(", ", model.Projections.Select(map => map.Role).Distinct())}; attention and feedForward stand for all of "
                + "their maps in every family.");
        var wanted = sockets.SelectMany(Roles).ToHashSet();
        var maps = model.Projections.Where(map => wanted.Contains(map.Role) && !(besideStacks && map.Stack is { IsWhole: true })).ToList();
        var found = Ends(model, maps).ToList();
        if (sockets.Contains(Socket.Norm)) found.AddRange(Norms(model));
        if (sockets.Contains(Socket.Embedding)) found.Add(model.Tokens.Name);
        if (sockets.Contains(Socket.Head)) found.Add(model.Tokens.HeadMap.Name);
        return found;
    }

    // The stacks of experts of some sockets, as PEFT names them; whole names where layers are chosen, which PEFT does not ask for here.
    private static IReadOnlyList<string> Stacks(LanguageModel model, IReadOnlyList<Socket> sockets, IReadOnlyList<int>? layers)
    {
        var wanted = sockets.SelectMany(Roles).ToHashSet();
        var maps = model.Projections.Where(map => map.Stack is { IsWhole: true } && wanted.Contains(map.Role)).ToList();
        return layers is null
            ? Deltas.LoraExperts.Names(maps)
            : [.. maps.Where(map => layers.Contains(map.Layer)).Select(map => map.Stack!.Name).Distinct(StringComparer.Ordinal)];
    }

    private static bool Has(LanguageModel model, Socket socket) => socket switch
    {
        Socket.Norm => Norms(model).Any(),
        Socket.Embedding => true,
        Socket.Head => model.Labels is null,
        _ => model.Projections.Any(map => Roles(socket).Contains(map.Role)),
    };

    private static Role[] Roles(Socket socket) => socket switch
    {
        Socket.Query => [Role.Query, Role.QueryKeyValue],
        Socket.Key => [Role.Key, Role.QueryKeyValue],
        Socket.Value => [Role.Value, Role.QueryKeyValue],
        Socket.Output => [Role.Output],
        Socket.Attention => [Role.Query, Role.Key, Role.Value, Role.QueryKeyValue, Role.Output],
        Socket.Gate => [Role.Gate, Role.GateUp],
        Socket.Up => [Role.Up, Role.GateUp],
        Socket.Down => [Role.Down],
        Socket.FeedForward => [Role.Gate, Role.Up, Role.GateUp, Role.Down],
        _ => [],
    };

    /// <summary>The modules of maps, by the ends of their names when these match no other maps.</summary>
    /// <param name="model">The model.</param>
    /// <param name="maps">The maps.</param>
    internal static IEnumerable<string> Ends(LanguageModel model, IEnumerable<Projection> maps)
    {
        var meant = maps.Select(map => map.Name).ToHashSet(StringComparer.Ordinal);
        var ends = meant.Select(name => name[(name.LastIndexOf('.') + 1)..]).Distinct(StringComparer.Ordinal).ToList();
        // GPT-2 has two maps named c_proj; then whole names are used.
        // Where stacks of experts are left out, an end cannot mean them.
        var stacked = maps.Any(map => map.Stack is { IsWhole: true });
        return model.Projections.Where(map => (stacked || map.Stack is not { IsWhole: true })
            && ends.Any(end => map.Name.EndsWith("." + end, StringComparison.Ordinal))).All(map => meant.Contains(map.Name)) ? ends : meant;
    }

    private static IEnumerable<string> Norms(LanguageModel model)
    {
        var maps = model.Projections.Select(map => map.Name).ToHashSet(StringComparer.Ordinal);
        return model.Weights.Where(weight => weight.Shape.Count == 1 && weight.Name.EndsWith(".weight", StringComparison.Ordinal))
            .Select(weight => weight.Name[..^".weight".Length]).Where(name => !maps.Contains(name));
    }

    /// <summary>The number of parameters that a budget allows.</summary>
    /// <param name="budget">A share of the model's (<c>0.5%</c>), thousands (<c>8k</c>), millions (<c>1.5m</c>) or a number.</param>
    /// <param name="model">The model.</param>
    public static long Parameters(string budget, LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var (number, unit) = Share(budget);
        var allowed = number * (unit == '%' ? model.Weights.Sum(weight => weight.Count) / 100.0 : 1);
        if (allowed < 1)
            throw new InputException($"budget {budget} allows less than one parameter of the model's "
                + $"{model.Weights.Sum(weight => weight.Count):N0}. Allow more.");
        return allowed < 1e12 ? (long)allowed : throw Wrong(budget);
    }

    private static (double Number, char Unit) Share(string budget)
    {
        ArgumentNullException.ThrowIfNull(budget);
        var unit = budget.Length > 0 ? char.ToLowerInvariant(budget[^1]) : ' ';
        var factor = unit switch { 'k' => 1e3, 'm' => 1e6, _ => 1 };
        var digits = char.IsDigit(unit) ? budget : budget[..^Math.Min(1, budget.Length)];
        var known = char.IsDigit(unit) || "%km".Contains(unit, StringComparison.Ordinal);
        if (double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && number > 0 && known)
            return (number * factor, unit);
        throw Wrong(budget);
    }

    private static InputException Wrong(string budget) =>
        new($"budget is '{budget}'; write a share of the model such as 0.5%, or a number of parameters such as 8k, 1.5m or 20000.");

    // The largest size whose parameters fit. Sizes that the form refuses (blocks that do not divide a width) are skipped.
    private static AdapterConfiguration Solve(LanguageModel model, JsonObject content, string budget)
    {
        const int Largest = 1 << 20;
        var allowed = Parameters(budget, model);
        var size = DeltaMethods.Of(AdapterConfiguration.Of(content, "method.settings")).SizeKey;
        InputException? refusal = null;
        (AdapterConfiguration Configuration, long Count)? At(int value)
        {
            content[size] = value;
            var configuration = AdapterConfiguration.Of(content, "method.settings");
            try
            {
                // The size does not depend on the text.
                using var set = DeltaSet.Fresh(model, configuration, 0, _ => [0]);
                // Settings that attaching changes are used for this trial only.
                return (AdapterConfiguration.Of(content, "method.settings"), set.Trained.Sum(item => item.Weight.Count));
            }
            catch (InputException fault)
            {
                refusal = fault;
                return null;
            }
        }

        (AdapterConfiguration Configuration, long Count)? best = null, least = null;
        int low = 1, high = 1;
        for (; high <= Largest; high *= 2)
        {
            if (At(high) is not { } tried) continue;
            least ??= tried;
            if (tried.Count > allowed) break;
            // Stop when a larger size no longer adds parameters.
            if (best is { } before && before.Count == tried.Count) return before.Configuration;
            (best, low) = (tried, high);
        }
        if (least is null) throw refusal!;
        if (best is null)
            throw new InputException($"budget {budget} allows {allowed:N0} parameters; the smallest such delta has {least.Value.Count:N0}. "
                + "Allow more, name fewer sockets or layers, or use another form.");
        while (high - low > 1)
        {
            var middle = (low + high) / 2;
            var tried = At(middle);
            for (var near = middle - 1; tried is null && near > low; near--) tried = At(near);
            if (tried is { } fits && fits.Count <= allowed)
            {
                best = fits.Count >= best.Value.Count ? fits : best;
                low = middle;
            }
            else if (tried is null) low = middle;
            else high = middle;
        }
        return best.Value.Configuration;
    }
}
