using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Polymath.Tests.Recipes;

/// <summary>
/// A recipe as tests need it: put together from parts, or taken from a text, and changed by the paths of its settings. A value is a piece
/// of YAML, such as <c>{kind: lora, r: 4}</c> or <c>'2'</c>, and stays what it is, quotes included, so that a wrong one can be said too. A
/// path is what faults and overrides call a setting: <c>stages.read.optimizer.rate</c>, <c>data.poems.where[0].field</c>; an item of a list
/// goes by its name or its index. Every change gives another builder and leaves this one as it is; one that finds no place throws. A text
/// that is taken and not changed stays as it is, comments and layout included.
/// <code>
/// RecipeBuilder.Named("tiny")
///     .Model("folder: base").Data("rows", "files: rows.jsonl").Stage("learn", "finetune", "data: rows", "steps: 4")
///     .With("stages.learn.steps", "8").Without("stages.learn.data").Renamed("model.folder", "foldr").Text
/// </code>
/// </summary>
internal sealed class RecipeBuilder
{
    private RecipeBuilder(string text) => Text = text;

    /// <summary>The recipe as YAML.</summary>
    public string Text { get; }

    /// <summary>A recipe that holds nothing but its name.</summary>
    public static RecipeBuilder Named(string name) => new($"name: {name}\n");

    /// <summary>The recipe that a text is.</summary>
    public static RecipeBuilder Of(string text) => new(text);

    /// <summary>Says what the model is, in place of what was said before; so does <see cref="Tokenizer"/>.</summary>
    public RecipeBuilder Model(params string[] keys) => With("model", Mapping(keys));

    public RecipeBuilder Tokenizer(params string[] keys) => With("tokenizer", Mapping(keys));

    /// <summary>Adds a source of data, behind those that are there.</summary>
    public RecipeBuilder Data(string name, params string[] keys) => Changed(root =>
        ((YamlMappingNode)Section(root, "data", new YamlMappingNode())).Add(name, Parsed(Mapping(keys))));

    /// <summary>Adds a stage, behind those that are there.</summary>
    public RecipeBuilder Stage(string name, string kind, params string[] keys) => Changed(root =>
        ((YamlSequenceNode)Section(root, "stages", new YamlSequenceNode())).Add(
            Parsed(Mapping([$"name: {name}", $"kind: {kind}", .. keys]))));

    /// <summary>Sets one setting, be it there or not; what it stands in must be there. Without a value, takes it away.</summary>
    public RecipeBuilder With(string path, string? value) => value is null ? Without(path) : Changed(root =>
    {
        var (parent, key) = Place(root, path);
        if (parent is YamlMappingNode mapping) mapping.Children[key] = Parsed(value);
        else ((YamlSequenceNode)parent).Children[IndexOf(parent, key, path)] = Parsed(value);
    });

    /// <summary>Takes settings, stages or other items away, which must be there.</summary>
    public RecipeBuilder Without(params string[] paths) => paths.Aggregate(this, (recipe, path) => recipe.Changed(root =>
    {
        var (parent, key) = Place(root, path);
        var at = IndexOf(parent, key, path);
        if (parent is YamlMappingNode mapping) mapping.Children.RemoveAt(at);
        else ((YamlSequenceNode)parent).Children.RemoveAt(at);
    }));

    /// <summary>Gives a key, which must be there, another name: a mistyped one, for example.</summary>
    public RecipeBuilder Renamed(string path, string name) => Changed(root =>
    {
        var (parent, key) = Place(root, path);
        var (mapping, at) = ((YamlMappingNode)parent, IndexOf(parent, key, path));
        var value = mapping.Children[at].Value;
        mapping.Children.RemoveAt(at);
        mapping.Children.Insert(at, name, value);
    });

    private RecipeBuilder Changed(Action<YamlMappingNode> change)
    {
        var root = (YamlMappingNode)Parsed(Text);
        change(root);
        // The writer would put quotes where nothing stands, and that is another value.
        const string nothing = "\uE000";
        foreach (var scalar in root.AllNodes.OfType<YamlScalarNode>().Where(scalar => scalar is { Style: ScalarStyle.Plain, Value: "" }))
            scalar.Value = nothing;
        using var writer = new StringWriter { NewLine = "\n" };
        new YamlStream(new YamlDocument(root)).Save(writer, assignAnchors: false);
        const string end = "...\n";
        var text = writer.ToString().Replace(nothing, "", StringComparison.Ordinal);
        return new(text.EndsWith(end, StringComparison.Ordinal) ? text[..^end.Length] : text);
    }

    private static string Mapping(string[] keys) => $"{{{string.Join(", ", keys)}}}";

    private static YamlNode Parsed(string yaml)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(yaml));
        return stream.Documents.Count > 0 ? stream.Documents[0].RootNode : new YamlScalarNode("") { Style = ScalarStyle.Plain };
    }

    private static YamlNode Section(YamlMappingNode root, string name, YamlNode fresh)
    {
        if (!root.Children.ContainsKey(name)) root.Add(name, fresh);
        return root.Children[name];
    }

    /// <summary>The mapping or list that a path's last name stands in.</summary>
    private static (YamlNode Parent, string Key) Place(YamlMappingNode root, string path)
    {
        var names = path.Replace('[', '.').Replace("]", "", StringComparison.Ordinal).Split('.');
        YamlNode parent = root;
        foreach (var name in names[..^1])
        {
            var at = IndexOf(parent, name, path);
            parent = parent is YamlMappingNode mapping ? mapping.Children[at].Value : parent[at];
        }
        return parent is YamlMappingNode or YamlSequenceNode
            ? (parent, names[^1])
            : throw new ArgumentException($"'{path}' would stand in a single value", nameof(path));
    }

    private static int IndexOf(YamlNode parent, string key, string path)
    {
        var at = parent switch
        {
            YamlMappingNode mapping => mapping.Children.Keys.ToList().IndexOf(key),
            YamlSequenceNode list when int.TryParse(key, out var index) => index < list.Children.Count ? index : -1,
            YamlSequenceNode list => list.ToList().FindIndex(item => item is YamlMappingNode { Children: var keys }
                && keys.TryGetValue("name", out var name) && name.ToString() == key),
            _ => -1,
        };
        return at >= 0 ? at : throw new ArgumentException($"the recipe has no '{key}' where '{path}' says", nameof(path));
    }
}
