using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Polymath.Recipes;

/// <summary>
/// Turns YAML (or JSON, which is YAML) into nodes with their places. It accepts one document, each key once, and no anchors, aliases or
/// tags.
/// </summary>
internal sealed class NodeParser(string source, FaultList faults)
{
    private const int DeepestNesting = 64;

    private readonly Stack<Place> open = new();

    /// <summary>The document's root; null when there is none or the text cannot be parsed.</summary>
    public Node? Parse(string text)
    {
        var parser = new Parser(new Scanner(new StringReader(text), skipComments: true));
        try
        {
            return Document(parser);
        }
        catch (YamlException exception)
        {
            var place = exception.Message.Contains("tab", StringComparison.Ordinal) ? FirstTab(text) : null;
            faults.Add("", place ?? PlaceOf(exception.Start), $"this is not YAML: {exception.Message.TrimEnd('.')}", SyntaxHint(
                exception.Message));
        }
        catch (Exception exception)
            when (exception is InvalidOperationException or ArgumentException or FormatException or IndexOutOfRangeException)
        {
            // The parser's own answer to some unclosed brackets.
            var place = open.Count > 0 ? open.Peek() : new Place(source, 1, 1);
            faults.Add(
                "", place, "a bracket or quote opened here is not closed", "close the brackets and quotes, and put a comma between items");
        }
        return null;
    }

    private Node? Document(Parser parser)
    {
        Node? root = null;
        while (parser.MoveNext())
        {
            switch (parser.Current)
            {
                case StreamStart or StreamEnd or DocumentEnd:
                    break;
                case DocumentStart start when root is not null:
                    faults.Add(
                        "",
                        PlaceOf(start.Start),
                        "a second document begins here",
                        "keep one document in a file: remove the '---' and what follows");
                    return root;
                case DocumentStart:
                    parser.MoveNext();
                    root = Build(parser, 0);
                    break;
            }
        }
        return root;
    }

    /// <summary>Builds the node whose first event is current, and leaves its last event current.</summary>
    private Node Build(Parser parser, int depth)
    {
        var current = parser.Current!;
        var place = PlaceOf(current.Start);
        if (depth > DeepestNesting)
            throw new YamlException(current.Start, current.End, $"nested more than {DeepestNesting} deep");
        if (current is AnchorAlias alias)
        {
            faults.Add(
                "",
                place,
                $"the alias '*{alias.Value}' is not supported",
                "write the value out, or put the text in quotes when it begins with '*'");
            return new ScalarNode(place, "", true);
        }
        RefuseDecoration(current as NodeEvent ?? throw new InvalidOperationException("A node is missing."), place);
        switch (current)
        {
            case Scalar scalar:
                return new ScalarNode(place, scalar.Value, scalar.Style == ScalarStyle.Plain);
            case SequenceStart:
                open.Push(place);
                var items = new List<Node>();
                while (Next(parser) is not SequenceEnd)
                    items.Add(Build(parser, depth + 1));
                open.Pop();
                return new ListNode(place, items);
            default:
                return Mapping(parser, depth, place);
        }
    }

    private MappingNode Mapping(Parser parser, int depth, Place place)
    {
        open.Push(place);
        var entries = new Dictionary<string, Entry>();
        var order = new List<Entry>();
        while (Next(parser) is not MappingEnd)
        {
            var key = Build(parser, depth + 1);
            parser.MoveNext();
            var value = Build(parser, depth + 1);
            if (key is not ScalarNode { Value.Length: > 0 } name)
            {
                faults.Add("", key.Place,
                    $"{(key is ScalarNode ? "nothing" : key.Describe())} stands where a key is expected",
                    "write a mapping as 'key: value'");
            }
            else if (entries.TryGetValue(name.Value, out var first))
            {
                var where = $"the first one is in line {first.Place.Line}";
                faults.Add(name.Value, key.Place, $"the key '{name.Value}' is here twice", $"{where}; keep one of the two");
            }
            else
            {
                var entry = new Entry(name.Value, key.Place, value);
                entries.Add(name.Value, entry);
                order.Add(entry);
            }
        }
        open.Pop();
        return new MappingNode(place, order);
    }

    private static ParsingEvent Next(Parser parser)
    {
        parser.MoveNext();
        return parser.Current ?? throw new InvalidOperationException("The events end too early.");
    }

    private void RefuseDecoration(NodeEvent node, Place place)
    {
        if (!node.Anchor.IsEmpty)
            faults.Add(
                "", place, $"the anchor '&{node.Anchor.Value}' is not supported", "remove it and write the value out where it is needed");
        if (!node.Tag.IsEmpty && !(node.Tag.IsNonSpecific && node is Scalar { Style: not ScalarStyle.Plain }))
        {
            faults.Add("", place,
                $"the tag '{(node.Tag.IsNonSpecific ? "!" : node.Tag.Value)}' is not supported",
                "remove it: types are told from the setting");
        }
    }

    private Place PlaceOf(Mark mark) => new(source, (int)mark.Line, (int)mark.Column);

    private Place? FirstTab(string text)
    {
        var lines = text.Split('\n');
        var index = Array.FindIndex(lines, line => line.TrimStart(' ').StartsWith('\t'));
        return index < 0 ? null : new Place(source, index + 1, lines[index].IndexOf('\t', StringComparison.Ordinal) + 1);
    }

    private static string SyntaxHint(string message) => message switch
    {
        _ when message.Contains("tab", StringComparison.Ordinal) => "indent with spaces",
        _ when message.Contains("nested", StringComparison.Ordinal) => "recipes are flatter than that",
        _ when message.Contains("quoted", StringComparison.Ordinal) => "check the quotes and what follows a backslash",
        _ => "check the indentation, brackets and quotes here and in the line before; text with ': ' or '#' needs quotes",
    };
}
