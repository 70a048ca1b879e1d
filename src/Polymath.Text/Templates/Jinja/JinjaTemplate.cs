using System.Text.Json;
using System.Text.Json.Nodes;

namespace Polymath.Text.Templates.Jinja;

/// <summary>A conversation that a template has rendered.</summary>
/// <param name="Text">The whole text.</param>
/// <param name="Generated">The spans between <c>{% generation %}</c> and <c>{% endgeneration %}</c>: the model's own words, in
/// order.</param>
public sealed record JinjaText(string Text, IReadOnlyList<GeneratedSpan> Generated);

/// <summary>
/// A chat template in Jinja, as in Hugging Face's models: the language of Jinja 3.1 in its immutable sandbox with <c>trim_blocks</c>,
/// <c>lstrip_blocks</c>, <c>break</c> and <c>continue</c>, the <c>generation</c> tag, <c>raise_exception</c>, <c>strftime_now</c> and
/// transformers' own <c>tojson</c>. A template can access only the values it gets, nothing of .NET. Immutable, and safe for several threads
/// at once.
/// </summary>
public sealed class JinjaTemplate
{
    private const int LongestSource = 1_000_000;
    private readonly IReadOnlyList<Statement> body;

    private JinjaTemplate(string source, string name, IReadOnlyList<Statement> body) => (Source, Name, this.body) = (source, name, body);

    /// <summary>The template's text.</summary>
    public string Source { get; }

    /// <summary>The template's name in messages.</summary>
    public string Name { get; }

    /// <summary>The variables that the template reads, in the order of its text: <c>messages</c>, its tokens, and its own.</summary>
    public IReadOnlyList<string> Variables => FreeNames.Of(body);

    /// <summary>Whether the template itself marks the model's words.</summary>
    public bool MarksGeneration => Marks(body);

    /// <summary>Reads a template.</summary>
    /// <param name="source">Its text.</param>
    /// <param name="name">Its name in messages: its file.</param>
    /// <exception cref="JinjaException">The text is not a template.</exception>
    public static JinjaTemplate Parse(string source, string name = "the chat template")
    {
        ArgumentNullException.ThrowIfNull(source);
        return Told(name, () => source.Length <= LongestSource ? new JinjaTemplate(source, name, StatementParser.Parse(source))
            : throw new JinjaFault($"the template has more than {LongestSource:N0} characters"));
    }

    /// <summary>Renders a conversation.</summary>
    /// <param name="variables">The variables: <c>messages</c>, <c>add_generation_prompt</c>, the special tokens by name, ...</param>
    /// <param name="limits">The template's limits.</param>
    /// <param name="clock">Gives the time, for templates that use it.</param>
    /// <exception cref="JinjaException">The template refuses the conversation, has a fault, or exceeds its limits.</exception>
    public JinjaText Render(JsonObject variables, JinjaLimits? limits = null, TimeProvider? clock = null)
    {
        ArgumentNullException.ThrowIfNull(variables);
        return Told(Name, () =>
        {
            var scope = new Scope(null);
            foreach (var (name, value) in variables) scope.Put(name, JsonReading.ValueOf(value));
            var page = new Executor(new Machine(new Meter(limits ?? new JinjaLimits()), clock ?? TimeProvider.System)).Run(body, scope);
            return new JinjaText(page.Text.ToString(), page.Spans);
        });
    }

    private static T Told<T>(string name, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (JinjaFault fault)
        {
            throw new JinjaException(
                $"{name}{(fault.Line > 0 ? $", line {fault.Line}" : "")}: {fault.Message.TrimEnd('.')}. {fault.Hint}.",
                fault);
        }
    }

    private static bool Marks(IEnumerable<Statement> body) => body.Any(statement => statement switch
    {
        Block { Name: null } => true,
        Block block => Marks(block.Body),
        If branches => branches.Branches.Any(branch => Marks(branch.Body)),
        For loop => Marks(loop.Body) || Marks(loop.Else),
        SetBlock set => Marks(set.Body),
        Macro macro => Marks(macro.Body),
        CallBlock call => Marks(call.Body.Body),
        FilterBlock filter => Marks(filter.Body),
        With with => Marks(with.Body),
        _ => false,
    });
}

/// <summary>Turns JSON into a template's values.</summary>
internal static class JsonReading
{
    /// <summary>The value of a piece of JSON.</summary>
    public static object ValueOf(JsonNode? node)
    {
        Meter.Stack();
        switch (node)
        {
            case null:
                return None.Value;
            case JsonArray list:
                return new ListValue([.. list.Select(ValueOf)]);
            case JsonObject members:
                var dict = new DictValue();
                foreach (var (name, value) in members) dict.Put(name, ValueOf(value));
                return dict;
            default:
                return Plain(node);
        }
    }

    private static string Words(JsonNode node)
    {
        try
        {
            return node.GetValue<string>();
        }
        catch (InvalidOperationException)
        {
            throw new JinjaFault("a text holds half a surrogate pair", "Write the character as it is");
        }
    }

    private static object Plain(JsonNode node)
    {
        switch (node.GetValueKind())
        {
            case JsonValueKind.String:
                return Words(node);
            case JsonValueKind.True:
                return true;
            case JsonValueKind.False:
                return false;
            case JsonValueKind.Null:
                return None.Value;
            default:
                var text = node.ToJsonString();
                return PythonNumbers.Whole(text, 10) ?? PythonNumbers.Real(text)
                    ?? throw new JinjaFault($"the number {text} cannot be read");
        }
    }
}
