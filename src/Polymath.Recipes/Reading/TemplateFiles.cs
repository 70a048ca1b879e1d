namespace Polymath.Recipes;

/// <summary>
/// Puts templates in the place of the files that a recipe names, <c>template: {file: found.yaml}</c>. A search writes such a file: a
/// <c>template</c>, and maybe the <c>verbalizer</c> that belongs to it, which counts where neither the prompt nor its method
/// gives one.
/// </summary>
/// <param name="baseFolder">The folder that paths are relative to.</param>
/// <param name="faults">Receives the faults.</param>
internal sealed class TemplateFiles(string baseFolder, FaultList faults)
{
    private const string Template = "template", Verbalizer = "verbalizer", Prompts = "prompts", File = "file";

    /// <summary>The same recipe with the templates of its files.</summary>
    /// <param name="node">The recipe, or a part of it.</param>
    /// <param name="path">Where it stands.</param>
    internal Node Filled(Node node, string path = "") => Filled(node, path, false);

    // A verbalizer above the prompts is that of each prompt without one, so a file's does not count there either.
    private Node Filled(Node node, string path, bool given) => node switch
    {
        MappingNode mapping => Own(
            new MappingNode(
                mapping.Place,
                [.. mapping.Entries.Select(entry => entry with
                {
                    Value = Filled(entry.Value, At(path, entry.Key), entry.Key == Prompts && Has(mapping)),
                })]),
            path,
            given),
        ListNode list => new ListNode(list.Place, [.. list.Items.Select((item, i) => Filled(item, $"{path}[{i}]", given))]),
        _ => node,
    };

    private static bool Has(MappingNode mapping) => mapping.Find(Verbalizer)?.Value is not (null or ScalarNode { IsNull: true });

    private static string At(string path, string key) => path.Length == 0 ? key : $"{path}.{key}";

    private MappingNode Own(MappingNode mapping, string path, bool given)
    {
        if (mapping.Find(Template)?.Value is not MappingNode { Entries: [{ Key: File, Value: ScalarNode { IsNull: false } named }] })
            return mapping;
        var at = At(path, Template);
        if (Read(named, at) is not { } found) return mapping;
        if (found.Find(Template) is not { Value: ScalarNode { IsNull: false } text })
        {
            faults.Add(at, named.Place, $"'{named.Value}' has no template", "name a file with template: TEXT, such as a search writes");
            return mapping;
        }
        var filled = mapping.With(new Entry(Template, mapping.Find(Template)!.Place, new ScalarNode(named.Place, text.Value, text.Plain)));
        return !given && mapping.Find(Verbalizer) is null && found.Find(Verbalizer) is { } words
            ? filled.With(new Entry(Verbalizer, named.Place, words.Value))
            : filled;
    }

    private MappingNode? Read(ScalarNode named, string path)
    {
        var file = Path.GetFullPath(Path.Combine(baseFolder, named.Value));
        try
        {
            if (new NodeParser(Path.GetFileName(file), faults).Parse(System.IO.File.ReadAllText(file)) is MappingNode found) return found;
            faults.Add(path, named.Place, $"'{named.Value}' is no mapping", "name a file with template: TEXT, such as a search writes");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            faults.Add(
                path,
                named.Place,
                $"there is no file '{named.Value}' that can be read",
                "write the path of a search's found.yaml, from the recipe's folder");
        }
        return null;
    }
}
