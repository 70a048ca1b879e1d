using System.Text;

namespace Polymath.Text.Templates.Jinja;

/// <summary>A piece of a text that the template marks as the model's own.</summary>
/// <param name="Start">Where it begins, in UTF-16 units.</param>
/// <param name="Length">How long it is.</param>
public readonly record struct GeneratedSpan(int Start, int Length);

/// <summary>The output text, with the spans that are the model's own.</summary>
internal sealed class Page
{
    /// <summary>The text so far.</summary>
    public StringBuilder Text { get; } = new();

    /// <summary>The model's spans so far.</summary>
    public List<GeneratedSpan> Spans { get; } = [];
}

/// <summary>Executes statements.</summary>
/// <param name="machine">The operations of values.</param>
internal sealed class Executor(Machine machine)
{
    private enum Way
    {
        On,
        Break,
        Continue,
    }

    private readonly Evaluator evaluator = new(machine);

    // The spans of texts from macros and blocks; they are copied when the same text object is written.
    private readonly Dictionary<string, List<GeneratedSpan>> spans = new(ReferenceEqualityComparer.Instance);

    /// <summary>Writes a template's text.</summary>
    public Page Run(IReadOnlyList<Statement> body, Scope scope)
    {
        var page = new Page();
        Body(body, scope, page);
        return page;
    }

    private Way Body(IReadOnlyList<Statement> body, Scope scope, Page page)
    {
        foreach (var statement in body)
        {
            try
            {
                machine.Meter.Work();
                if (One(statement, scope, page) is var way && way != Way.On)
                    return way;
            }
            catch (JinjaFault fault) when (fault.Line == 0)
            {
                fault.Line = statement.Line;
                throw;
            }
        }
        return Way.On;
    }

    private Way One(Statement statement, Scope scope, Page page)
    {
        switch (statement)
        {
            case Data data:
                Write(data.Text, page);
                break;
            case Output output:
                Write(machine.Text(evaluator.Value(output.Value, scope)), page);
                break;
            case If branches:
                foreach (var (test, body) in branches.Branches)
                {
                    if (test is null || Machine.Truth(evaluator.Value(test, scope)))
                        return Body(body, scope, page);
                }
                break;
            case For loop:
                Loop(
                    loop,
                    machine.Iterate(evaluator.Value(loop.Items, scope)),
                    scope,
                    page,
                    0);
                break;
            case Set set:
                Assign(set.Target, evaluator.Value(set.Value, scope), scope, scope);
                break;
            case SetBlock set:
                var text = Captured(set.Body, new Scope(scope));
                Assign(set.Target, set.Filter is null ? text : FilteredText(set.Filter, text, scope), scope, scope);
                break;
            case Macro macro:
                scope.Put(macro.Name, Callable(macro, scope));
                break;
            case CallBlock call:
                Write(machine.Text(CallWithBody(call, scope)), page);
                break;
            case FilterBlock filter:
                Write(machine.Text(FilteredText(filter.Filter, Captured(filter.Body, new Scope(scope)), scope)), page);
                break;
            case With with:
                var inner = new Scope(scope);
                foreach (var (target, value) in with.Assignments) Assign(target, evaluator.Value(value, scope), inner, scope);
                return Body(with.Body, inner, page);
            case Block block:
                Named(block, scope, page);
                break;
            case Leave leave:
                return leave.Break ? Way.Break : Way.Continue;
            case Foreign foreign:
                throw new JinjaFault(
                    $"'{foreign.Tag}' needs another template, but a chat template is a single file",
                    "Write its text into the template");
        }
        return Way.On;
    }

    private void Write(string text, Page page)
    {
        machine.Meter.Limit((long)page.Text.Length + text.Length);
        machine.Meter.Text(text.Length);
        if (this.spans.TryGetValue(text, out var spans))
            page.Spans.AddRange(spans.Select(span => span with { Start = span.Start + page.Text.Length }));
        page.Text.Append(text);
    }

    /// <summary>The text of a body; the model's spans in it are recorded.</summary>
    private string Captured(IReadOnlyList<Statement> body, Scope scope)
    {
        var page = Run(body, scope);
        // A new text object, even when it is equal to another one.
        var text = page.Text.Length == 0 ? "" : machine.Meter.Made(page.Text.ToString());
        if (page.Spans.Count > 0 && text.Length > 0)
            spans[text] = page.Spans;
        return text;
    }

    private object FilteredText(Filter filter, string text, Scope scope) =>
        evaluator.Filtered(filter, filter.Target is Filter before ? FilteredText(before, text, scope) : text, scope);

    private void Named(Block block, Scope scope, Page page)
    {
        if (block.Name is not null)
        {
            Body(block.Body, new Scope(scope.Root), page);
            return;
        }
        var start = page.Text.Length;
        var before = page.Spans.Count;
        Body(block.Body, new Scope(scope), page);
        // A span inside another is covered by the outer one.
        page.Spans.RemoveRange(before, page.Spans.Count - before);
        page.Spans.Add(new GeneratedSpan(start, page.Text.Length - start));
    }

    private void Assign(Target target, object value, Scope scope, Scope names)
    {
        switch (target)
        {
            case NameTarget name:
                scope.Put(name.Name, value);
                break;
            case NamespaceTarget member:
                if ((names.Find(member.Name) ?? new Undefined($"'{member.Name}' is undefined")) is not NamespaceValue space)
                    throw new JinjaFault(
                        $"'{member.Name}' is not a namespace, so '{member.Name}.{member.Attribute}' cannot be set",
                        $"Write {{% set {member.Name} = namespace({member.Attribute}=...) %}} first");
                space.Variables[member.Attribute] = value;
                break;
            case TupleTarget tuple:
                var values = machine.Iterate(value).Take(tuple.Parts.Count + 1).ToList();
                if (values.Count != tuple.Parts.Count)
                    throw new JinjaFault($"{tuple.Parts.Count} values are needed for {tuple.Parts.Count} names, found "
                        + $"{(values.Count > tuple.Parts.Count ? "more" : values.Count)}");
                for (var i = 0; i < values.Count; i++) Assign(tuple.Parts[i], values[i], scope, names);
                break;
        }
    }

    private void Loop(
        For loop,
        IEnumerable<object> source,
        Scope scope,
        Page page,
        int depth)
    {
        IReadOnlyList<object> items = [.. source.Where(Passes)];
        var state = new LoopState(items, depth, loop.Recursive ? Again : null);
        // As in Jinja, "else" runs when no iteration of the loop was completed: an iteration with break or continue is not complete.
        var whole = false;
        for (; state.Index < items.Count; state.Index++)
        {
            machine.Meter.Work();
            var inner = new Scope(scope);
            inner.Put("loop", state.Value);
            Assign(loop.Target, items[state.Index], inner, inner);
            var way = Body(loop.Body, inner, page);
            if (way == Way.Break)
                break;
            whole |= way != Way.Continue;
        }
        if (!whole)
            Body(loop.Else, new Scope(scope), page);

        bool Passes(object item)
        {
            if (loop.Filter is null)
                return true;
            var inner = new Scope(scope);
            Assign(loop.Target, item, inner, inner);
            return Machine.Truth(evaluator.Value(loop.Filter, inner));
        }

        object Again(Machine _, Arguments arguments)
        {
            machine.Meter.Enter();
            var below = new Page();
            Loop(
                loop,
                machine.Iterate(arguments.Bind("loop()", "iterable")[0]!),
                scope,
                below,
                depth + 1);
            machine.Meter.Leave();
            var text = machine.Meter.Made(below.Text.ToString());
            if (below.Spans.Count > 0)
                spans[text] = below.Spans;
            return text;
        }
    }

    private Callable Callable(Macro macro, Scope scope) => new(macro.Name, (_, arguments) => Invoke(macro, arguments, scope));

    private string Invoke(Macro macro, Arguments arguments, Scope scope)
    {
        machine.Meter.Enter();
        var inner = new Scope(scope);
        var named = new Dictionary<string, object>(arguments.Named, StringComparer.Ordinal);
        var caller = macro.Caller && named.Remove("caller", out var given) ? given : new Undefined("the macro was called without a caller");
        if (macro.Caller && macro.Parameters.All(parameter => parameter.Name != "caller"))
            inner.Put("caller", caller);
        for (var i = 0; i < macro.Parameters.Count; i++)
        {
            var (name, standard) = macro.Parameters[i];
            var isNamed = named.Remove(name, out var value);
            if (isNamed && i < arguments.Positional.Count)
                throw new JinjaFault($"the macro '{macro.Name}' has two values for '{name}'");
            value = i < arguments.Positional.Count ? arguments.Positional[i] : value;
            inner.Put(
                name,
                value ?? (standard is null ? new Undefined($"the parameter '{name}' was not given") : evaluator.Value(standard, inner)));
        }
        if (macro.Kwargs)
            inner.Put("kwargs", Globals.DictOf(named));
        else if (named.Count > 0)
            throw new JinjaFault($"the macro '{macro.Name}' has no parameter '{named.Keys.First()}'");
        var surplus = arguments.Positional.Skip(macro.Parameters.Count).ToList();
        if (macro.Varargs)
            inner.Put("varargs", new TupleValue(surplus));
        else if (surplus.Count > 0)
            throw new JinjaFault($"the macro '{macro.Name}' takes {macro.Parameters.Count} arguments, found {arguments.Positional.Count}");
        var text = Captured(macro.Body, inner);
        machine.Meter.Leave();
        return text;
    }

    private object CallWithBody(CallBlock block, Scope scope)
    {
        var arguments = evaluator.ArgumentsOf(block.Call.Arguments, scope);
        var named = new Dictionary<string, object>(arguments.Named, StringComparer.Ordinal) { ["caller"] = Callable(block.Body, scope) };
        return machine.Call(evaluator.Value(block.Call.Target, scope), arguments with { Named = named });
    }
}
