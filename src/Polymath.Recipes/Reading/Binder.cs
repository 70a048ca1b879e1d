using System.Collections;

namespace Polymath.Recipes;

/// <summary>A text that refers to something. It is kept until all names are known.</summary>
internal sealed record Mention(Meaning Meaning, string Text, string Path, Place Place);

/// <summary>
/// Builds settings records from nodes, by reflection. A setting that cannot be read is reported and left at its default, so that one
/// reading finds every fault. The records are complete only when there is no fault.
/// </summary>
internal sealed class Binder(FaultList faults)
{
    private readonly Dictionary<object, string> paths = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, Place> places = [];

    /// <summary>The texts that refer to something.</summary>
    public List<Mention> Mentions { get; } = [];

    /// <summary>The path of a record.</summary>
    public string PathOf(object record) => paths[record];

    /// <summary>The place of a setting; the place of its holder when the setting was not written.</summary>
    public Place PlaceOf(string path)
    {
        while (path.Length > 0 && !places.ContainsKey(path))
            path = path[..Math.Max(0, path.LastIndexOfAny(['.', '[']))];
        return places[path];
    }

    /// <summary>Builds a value; null when it cannot be.</summary>
    public object? Bind(Node node, Type type, string path, Setting? setting = null)
    {
        places[path] = node.Place;
        if (node is ScalarNode { IsNull: true })
            return Refuse(node, path, type);
        if (type == typeof(WrittenSettings))
            return node is MappingNode written ? new WrittenSettings(written) : Refuse(node, path, type);
        if (Shape.IsScalar(type))
            return node is ScalarNode scalar ? Scalar(scalar, type, path, setting) : Refuse(node, path, type);
        if (Shape.ItemOf(type) is { } item)
            return Items(node, item, path, setting);
        if (Shape.ValueOf(type) is { } value)
            return node is MappingNode named ? Named(named, value, path, setting) : Refuse(node, path, type);
        if (node is ScalarNode && Shape.ShorthandOf(type) is { } key)
            node = new MappingNode(node.Place, [new Entry(key, node.Place, node)]);
        if (node is not MappingNode mapping)
            return Refuse(node, path, type);
        return Shape.CasesOf(type).Count > 0 ? Family(mapping, type, path) : Record(mapping, type, path);
    }

    private object? Refuse(Node node, string path, Type type)
    {
        var quoted = type == typeof(string) && node is ScalarNode { Value.Length: > 0 } ? ", or put the word in quotes" : "";
        faults.Add(
            path,
            node.Place,
            $"{node.Describe()} stands where {ScalarReader.Wanted(type)} is expected",
            $"write {Shape.Sample(type)}{quoted}");
        return null;
    }

    private object? Scalar(ScalarNode node, Type type, string path, Setting? setting)
    {
        var value = ScalarReader.Read(
            node,
            type,
            setting?.Bounds,
            path,
            faults);
        if (value is string text && setting?.Meaning is { } meaning)
            Mentions.Add(new Mention(meaning, text, path, node.Place));
        return value;
    }

    private IList Items(Node node, Type item, string path, Setting? setting)
    {
        var list = (IList)Activator.CreateInstance(typeof(List<>).MakeGenericType(item))!;
        if (node is not ListNode { Items: var nodes })
        {
            if (Bind(node, item, path, setting) is { } only)
                list.Add(only);
            return list;
        }
        if (nodes.Count == 0 && setting is { Required: true })
            faults.Add(path, node.Place, "the list is empty", $"write {Shape.Sample(setting)}");
        var names = new HashSet<string>();
        for (var i = 0; i < nodes.Count; i++)
        {
            var name = (nodes[i] as MappingNode)?.Text("name");
            var place = name is not null && Names.IsFileName(name) && names.Add(name) ? $"{path}.{name}" : $"{path}[{i}]";
            if (Bind(nodes[i], item, place, setting) is { } bound)
                list.Add(bound);
        }
        return list;
    }

    private IDictionary Named(MappingNode mapping, Type type, string path, Setting? setting)
    {
        var dictionary = (IDictionary)Activator.CreateInstance(typeof(Dictionary<,>).MakeGenericType(typeof(string), type))!;
        if (mapping.Entries.Count == 0 && setting is { Required: true })
            faults.Add(path, mapping.Place, "the mapping is empty", $"write {Shape.Sample(setting)}");
        var keyed = type == typeof(double) ? setting?.Meaning : null;
        foreach (var entry in mapping.Entries)
        {
            if (keyed is { } meaning)
                Mentions.Add(new Mention(meaning, entry.Key, $"{path}.{entry.Key}", entry.Place));
            if (Bind(entry.Value, type, $"{path}.{entry.Key}", setting) is { } bound)
                dictionary.Add(entry.Key, bound);
        }
        return dictionary;
    }

    private object? Family(MappingNode mapping, Type type, string path)
    {
        var chosen = Choose(mapping, type, path);
        return chosen is null ? null : Record(
            mapping,
            chosen.Type,
            path,
            chosen,
            type);
    }

    /// <summary>
    /// The case that a mapping asks for; the nearest one, with a fault, when it asks for an unknown one; null when it cannot be determined.
    /// </summary>
    private CaseAttribute? Choose(MappingNode mapping, Type type, string path)
    {
        var cases = Shape.CasesOf(type);
        var fit = cases.FirstOrDefault(
            one => mapping.Find(one.Key) is { } entry && (one.Value is null || (entry.Value as ScalarNode)?.Value == one.Value));
        if (fit is not null)
        {
            places[Join(path, fit.Key)] = mapping.Find(fit.Key)!.Value.Place;
            return fit;
        }
        var all = string.Join(" or ", cases.GroupBy(one => one.Key)
            .Select(group =>
                group.First().Value is null ? $"{group.Key}: TEXT" : $"{group.Key}: {string.Join('|', group.Select(one => one.Value))}"));
        if (cases.Select(one => mapping.Find(one.Key)).FirstOrDefault(entry => entry is not null) is { } found)
        {
            var values = cases.Where(one => one.Key == found.Key).Select(one => one.Value!).ToList();
            var written = (found.Value as ScalarNode)?.Value ?? "";
            faults.Add(
                Join(path, found.Key),
                found.Value.Place,
                $"{found.Value.Describe()} is not a known {found.Key}",
                Nearest.Hint(written, values, "choices"));
            return cases.FirstOrDefault(one => one.Key == found.Key && one.Value == Nearest.To(written, values));
        }
        var keys = cases.Select(one => one.Key).Distinct().ToList();
        var usual = Shape.DefaultOf(type);
        // Where the key may be left out, the settings' own keys are not taken for it.
        var own = usual is null ? [] : Shape.KeysOf(type);
        if (mapping.Entries.FirstOrDefault(
            entry => !own.Contains(entry.Key) && Nearest.To(entry.Key, keys) is not null) is not { } misspelt)
        {
            if (usual is not null)
                return usual;
            faults.Add(path, mapping.Place, $"{string.Join(" or ", keys.Select(key => $"'{key}'"))} is missing", $"add {all}");
            return null;
        }
        var near = Nearest.To(misspelt.Key, keys);
        faults.Add(Join(path, misspelt.Key), misspelt.Place, $"unknown key '{misspelt.Key}'", $"did you mean '{near}'?");
        return cases.FirstOrDefault(one => one.Key == near && one.Value == (misspelt.Value as ScalarNode)?.Value) ?? usual;
    }

    private object Record(
        MappingNode mapping,
        Type type,
        string path,
        CaseAttribute? chosen = null,
        Type? family = null)
    {
        places.TryAdd(path, mapping.Place);
        var settings = Shape.SettingsOf(type);
        var flat = settings.FirstOrDefault(setting => setting.Flat);
        var flatCase = flat is null ? null : Choose(mapping, flat.Type, path);
        RefuseUnknownKeys(
            mapping,
            path,
            KeysHere(settings, chosen, flat, flatCase),
            flat?.Type ?? family,
            flatCase ?? chosen);
        object? Flat() => flatCase is null ? null : Settings(mapping, flatCase.Type, path);
        var arguments = settings.Select(setting => setting.Flat ? Flat() : Value(mapping, setting, path)).ToArray();
        return Construct(type, path, arguments);
    }

    private object Settings(MappingNode mapping, Type type, string path) =>
        Construct(type, path, [.. Shape.SettingsOf(type).Select(setting => Value(mapping, setting, path))]);

    private object Construct(Type type, string path, object?[] arguments)
    {
        var record = Shape.Make(type, arguments);
        paths[record] = path;
        return record;
    }

    private object? Value(MappingNode mapping, Setting setting, string path)
    {
        var own = Join(path, setting.Key);
        if (mapping.Find(setting.Key) is { } entry && !(setting.Nullable && entry.Value is ScalarNode { IsNull: true }))
            return Bind(entry.Value, setting.Type, own, setting) ?? Fallback(setting);
        if (setting.Required && faults.Sound(own))
            faults.Add(own, mapping.Place, $"'{setting.Key}' is missing", $"add {Shape.Sample(setting)}");
        return Fallback(setting);
    }

    private static object? Fallback(Setting setting)
    {
        if (!setting.Required)
            return setting.Default;
        return setting.Type.IsValueType ? Activator.CreateInstance(setting.Type) : null;
    }

    /// <summary>
    /// The keys a mapping may have: a record's own, the one that selected the case, and those of a case that shares the mapping.
    /// </summary>
    private static List<string> KeysHere(IReadOnlyList<Setting> settings, CaseAttribute? chosen, Setting? flat, CaseAttribute? flatCase)
    {
        var keys = settings.Where(setting => !setting.Flat).Select(setting => setting.Key).ToList();
        if (chosen is not null && !keys.Contains(chosen.Key))
            keys.Insert(0, chosen.Key);
        if (flat is not null)
            keys.AddRange(flatCase is null ? Shape.KeysOf(flat.Type) : Shape.KeysOf(flatCase));
        return keys;
    }

    /// <summary>
    /// Reports unknown keys. It marks the settings they were probably meant for, so that these are not reported as missing too.
    /// </summary>
    private void RefuseUnknownKeys(
        MappingNode mapping,
        string path,
        List<string> own,
        Type? family,
        CaseAttribute? named)
    {
        foreach (var entry in mapping.Entries.Where(entry => !own.Contains(entry.Key)))
        {
            var at = Join(path, entry.Key);
            var homes = family is null ? [] : Shape.CasesOf(family).Where(one => Shape.KeysOf(one).Contains(entry.Key)).Select(Saying);
            var home = string.Join(" or ", homes);
            if (Nearest.To(entry.Key, own) is { } near)
            {
                faults.Damage(Join(path, near));
                faults.Add(at, entry.Place,
                    $"unknown key '{entry.Key}'",
                    mapping.Find(near) is null ? $"did you mean '{near}'?" : $"'{near}' is there already: remove this one");
            }
            else if (home.Length > 0 && named is not null)
            {
                faults.Add(
                    at,
                    entry.Place,
                    $"'{entry.Key}' belongs to {home}, not to {Saying(named)}",
                    $"remove it, or write {home}");
            }
            else
            {
                faults.Add(at, entry.Place, $"unknown key '{entry.Key}'", Nearest.Hint(entry.Key, own, "keys"));
            }
        }
    }

    private static string Saying(CaseAttribute one) => one.Value is null ? $"'{one.Key}'" : $"'{one.Key}: {one.Value}'";

    private static string Join(string path, string key) => path.Length == 0 ? key : $"{path}.{key}";
}
