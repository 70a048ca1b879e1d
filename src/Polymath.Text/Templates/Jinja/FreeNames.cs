namespace Polymath.Text.Templates.Jinja;

/// <summary>
/// Finds the variables that a template takes from outside: those that it reads before it gives them a value itself, in the order of the
/// text. The names that every template knows are left out.
/// </summary>
internal sealed class FreeNames
{
    private static readonly string[] own = ["loop", "caller", "varargs", "kwargs", "super"];

    private readonly List<string> found = [];
    private HashSet<string> bound = new(own, StringComparer.Ordinal);

    private FreeNames()
    {
    }

    /// <summary>The names, each once, in the order in which they are first read.</summary>
    /// <param name="body">The template.</param>
    public static IReadOnlyList<string> Of(IEnumerable<Statement> body)
    {
        var names = new FreeNames();
        names.Read(body);
        return names.found;
    }

    private void Read(IEnumerable<Statement> body)
    {
        foreach (var statement in body)
            Read(statement);
    }

    private void Read(Statement statement)
    {
        switch (statement)
        {
            case Output output:
                Read(output.Value);
                break;
            case If branches:
                foreach (var (test, body) in branches.Branches)
                {
                    Read(test);
                    Read(body);
                }
                break;
            case For loop:
                Read(loop.Items);
                Inside(() =>
                {
                    Bind(loop.Target);
                    Read(loop.Filter);
                    Read(loop.Body);
                });
                Inside(() => Read(loop.Else));
                break;
            case Macro macro:
                bound.Add(macro.Name);
                ReadMacro(macro);
                break;
            case CallBlock call:
                Read(call.Call);
                ReadMacro(call.Body);
                break;
            case FilterBlock filter:
                Read(filter.Filter);
                Inside(() => Read(filter.Body));
                break;
            case Block block:
                Inside(() => Read(block.Body));
                break;
            default:
                ReadAssignment(statement);
                break;
        }
    }

    private void ReadAssignment(Statement statement)
    {
        switch (statement)
        {
            case Set set:
                Read(set.Value);
                Bind(set.Target);
                break;
            case SetBlock set:
                Read(set.Filter);
                Inside(() => Read(set.Body));
                Bind(set.Target);
                break;
            case With with:
                Inside(() =>
                {
                    foreach (var (target, value) in with.Assignments)
                    {
                        Read(value);
                        Bind(target);
                    }
                    Read(with.Body);
                });
                break;
        }
    }

    private void ReadMacro(Macro macro)
    {
        foreach (var parameter in macro.Parameters)
            Read(parameter.Default);
        Inside(() =>
        {
            bound.UnionWith(macro.Parameters.Select(parameter => parameter.Name));
            Read(macro.Body);
        });
    }

    private void Read(Expression? expression)
    {
        if (expression is Variable { Name: var name })
        {
            if (!bound.Contains(name) && Globals.Find(name) is null && !found.Contains(name))
                found.Add(name);
            return;
        }
        foreach (var part in Parts(expression))
            Read(part);
    }

    private static Expression?[] Parts(Expression? expression) => expression switch
    {
        Items items => [.. items.Parts],
        Pairs pairs => [.. pairs.Entries.SelectMany(entry => new[] { entry.Key, entry.Value })],
        Choice choice => [choice.Test, choice.Yes, choice.No],
        Binary binary => [binary.Left, binary.Right],
        Logic logic => [logic.Left, logic.Right],
        Unary unary => [unary.Operand],
        Comparison comparison => [comparison.First, .. comparison.Rest.Select(next => next.Right)],
        Member member => [member.Target],
        Element element => [element.Target, element.Index],
        Slice slice => [slice.First, slice.Last, slice.Step],
        Call call => [call.Target, .. Parts(call.Arguments)],
        Filter filter => [filter.Target, .. Parts(filter.Arguments)],
        Test test => [test.Target, .. Parts(test.Arguments)],
        _ => [],
    };

    private static Expression?[] Parts(CallArguments arguments) =>
        [.. arguments.Positional, .. arguments.Named.Select(named => named.Value), arguments.Star, arguments.StarStar];

    private void Bind(Target target)
    {
        switch (target)
        {
            case NameTarget name:
                bound.Add(name.Name);
                break;
            case TupleTarget several:
                foreach (var part in several.Parts)
                    Bind(part);
                break;
        }
    }

    // What is bound inside is not bound after it.
    private void Inside(Action read)
    {
        var before = bound;
        bound = new HashSet<string>(before, StringComparer.Ordinal);
        read();
        bound = before;
    }
}
