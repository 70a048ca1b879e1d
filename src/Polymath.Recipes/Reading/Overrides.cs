using System.Globalization;

namespace Polymath.Recipes;

/// <summary>
/// Sets single settings from outside the file, such as <c>stages.finetune.optimizer.rate=3e-4</c> or <c>stages.1.optimizer.rate=3e-4</c>.
/// </summary>
internal sealed class Overrides(FaultList faults)
{
    /// <summary>The recipe with one setting replaced. Missing mappings on its path are added.</summary>
    public Node Apply(Node root, string text)
    {
        var source = $"override '{text}'";
        var place = new Place(source, 0, 0);
        var split = text.IndexOf('=', StringComparison.Ordinal);
        var segments = (split < 0 ? text : text[..split]).Trim().Split('.');
        if (split < 0 || segments.Any(segment => segment.Length == 0))
        {
            faults.Add("", place, "this is not PATH=VALUE", "write it like stages.0.optimizer.rate=3e-4");
            return root;
        }
        var written = text[(split + 1)..];
        var inner = new FaultList();
        var parsed = new NodeParser(source, inner).Parse(written) ?? new ScalarNode(place, "", true);
        foreach (var fault in inner.Sorted())
            faults.Add(string.Join('.', segments), place, fault.Problem, fault.Hint);
        return inner.Any ? root : Set(root, segments, 0, Placed(parsed, place));
    }

    private Node Set(Node? node, string[] segments, int at, Node value)
    {
        if (at == segments.Length)
            return value;
        var (key, path) = (segments[at], string.Join('.', segments[..(at + 1)]));
        switch (node)
        {
            case null or ScalarNode { IsNull: true }:
                return new MappingNode(value.Place, [new Entry(key, value.Place, Set(null, segments, at + 1, value))]);
            case MappingNode mapping:
                return mapping.With(new Entry(key, value.Place, Set(mapping.Find(key)?.Value, segments, at + 1, value)));
            case ListNode list:
                var index = Merging.IndexOf(list, key);
                if (index < 0 && int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                    && number < list.Items.Count)
                    index = number;
                if (index >= 0)
                    return new ListNode(
                        list.Place, [.. list.Items.Select((item, i) => i == index ? Set(item, segments, at + 1, value) : item)]);
                var counted = list.Items.Count == 0 ? "the list is empty" : $"write a number from 0 to {list.Items.Count - 1}";
                var names = Merging.NamesIn(list);
                faults.Add(path, value.Place,
                    $"the list has no item '{key}'",
                    names.Count > 0 ? $"{Nearest.Hint(key, names, "names")}, or {counted}" : counted);
                return node;
            default:
                faults.Add(path, value.Place,
                    $"{node.Describe()} is a single value and has no settings inside",
                    "replace it whole: write '=' and a mapping {KEY: VALUE}");
                return node;
        }
    }

    private static Node Placed(Node node, Place place) => node switch
    {
        ScalarNode scalar => new ScalarNode(place, scalar.Value, scalar.Plain),
        ListNode list => new ListNode(place, [.. list.Items.Select(item => Placed(item, place))]),
        MappingNode mapping =>
            new MappingNode(place, [.. mapping.Entries.Select(entry => new Entry(entry.Key, place, Placed(entry.Value, place)))]),
        _ => node,
    };
}
