namespace Polymath.Text.Templates.Jinja;

/// <summary>The variables of a block, with access to those of the blocks around it.</summary>
/// <param name="outer">The block around it; null for the template itself.</param>
internal sealed class Scope(Scope? outer)
{
    private readonly Dictionary<string, object> variables = new(StringComparer.Ordinal);

    /// <summary>The template's own variables.</summary>
    public Scope Root => Outer is null ? this : Outer.Root;

    /// <summary>Finds a variable.</summary>
    public object? Find(string name)
    {
        for (var at = this; at is not null; at = at.Outer)
        {
            if (at.variables.TryGetValue(name, out var value))
                return value;
        }
        return null;
    }

    /// <summary>Sets a variable of this block.</summary>
    public void Put(string name, object value) => variables[name] = value;

    private Scope? Outer { get; } = outer;
}

/// <summary>Evaluates expressions.</summary>
/// <param name="machine">The operations of values.</param>
internal sealed class Evaluator(Machine machine)
{
    /// <summary>The value of an expression.</summary>
    public object Value(Expression expression, Scope scope)
    {
        machine.Meter.Work();
        Meter.Stack();
        return expression switch
        {
            Constant constant => constant.Value,
            Variable variable =>
                scope.Find(variable.Name) ?? Globals.Find(variable.Name) ?? new Undefined($"'{variable.Name}' is undefined"),
            Member member => machine.Attribute(Markup.Bare(Value(member.Target, scope)), member.Name),
            Element element => machine.Element(Markup.Bare(Value(element.Target, scope)), Markup.Bare(Value(element.Index, scope))),
            Call call => machine.Call(Value(call.Target, scope), ArgumentsOf(call.Arguments, scope)),
            Filter filter => Filtered(filter, Value(filter.Target!, scope), scope),
            Test test => Tested(test, scope),
            Comparison comparison => Compared(comparison, scope),
            Binary binary => machine.Apply(binary.Sign, Value(binary.Left, scope), Value(binary.Right, scope)),
            Logic logic => Value(logic.Left, scope) is var left && Machine.Truth(left) == logic.And ? Value(logic.Right, scope) : left,
            Choice choice when Machine.Truth(Value(choice.Test, scope)) => Value(choice.Yes, scope),
            Choice { No: { } no } => Value(no, scope),
            Choice => new Undefined("the inline if has no else, and its test is false"),
            Unary unary => Single(unary.Sign, Value(unary.Operand, scope)),
            Items items => Several(items, scope),
            Pairs pairs => Dictionary(pairs, scope),
            Slice slice => new SliceValue(Bound(slice.First, scope), Bound(slice.Last, scope), Bound(slice.Step, scope)),
            _ => throw new JinjaFault("this expression has no value"),
        };
    }

    private object Bound(Expression? part, Scope scope) => part is null ? None.Value : Value(part, scope);

    private static object Single(string sign, object value)
    {
        if (sign == "not")
            return !Machine.Truth(value);
        if (!Numbers.Is(Machine.Defined(value)))
            throw new JinjaFault($"'{sign}' cannot stand before '{Types.NameOf(value)}'");
        if (value is double real)
            return sign == "-" ? -real : real;
        var whole = Numbers.Whole(value)!.Value;
        return sign == "-" ? -whole : whole;
    }

    private object Several(Items items, Scope scope)
    {
        var values = items.Parts.Select(part => Value(part, scope)).ToList();
        if (items.Kind != '~')
            return items.Kind == '[' ? new ListValue(values) : new TupleValue(values);
        var texts = values.ConvertAll(machine.Text);
        machine.Meter.Text(texts.Sum(text => (long)text.Length));
        return string.Concat(texts);
    }

    private DictValue Dictionary(Pairs pairs, Scope scope)
    {
        var dict = new DictValue();
        foreach (var (key, value) in pairs.Entries) dict.Put(Markup.Bare(Value(key, scope)), Value(value, scope));
        return dict;
    }

    private bool Compared(Comparison comparison, Scope scope)
    {
        var left = Value(comparison.First, scope);
        foreach (var (sign, next) in comparison.Rest)
        {
            var right = Value(next, scope);
            if (!machine.Holds(sign, left, right))
                return false;
            left = right;
        }
        return true;
    }

    /// <summary>A value after a filter.</summary>
    public object Filtered(Filter filter, object value, Scope scope) =>
        Filters.Apply(machine, filter.Name, value, ArgumentsOf(filter.Arguments, scope));

    private bool Tested(Test test, Scope scope)
    {
        var value = Value(test.Target, scope);
        if (value is Markup && test.Name == "escaped")
            return true;
        return Tests.Holds(machine, test.Name, Markup.Bare(value), ArgumentsOf(test.Arguments, scope));
    }

    /// <summary>The values of a call's arguments.</summary>
    public Arguments ArgumentsOf(CallArguments arguments, Scope scope)
    {
        var positional = arguments.Positional.Select(argument => Markup.Bare(Value(argument, scope))).ToList();
        if (arguments.Star is not null)
            positional.AddRange(machine.Iterate(Machine.Defined(Value(arguments.Star, scope))));
        var named = new Dictionary<string, object>(StringComparer.Ordinal);
        foreach (var (name, value) in arguments.Named)
        {
            if (!named.TryAdd(name, Markup.Bare(Value(value, scope))))
                throw new JinjaFault($"the argument '{name}' is given twice");
        }
        if (arguments.StarStar is not null)
        {
            var dict = Machine.Defined(Value(arguments.StarStar, scope)) as DictValue
                ?? throw new JinjaFault("a dictionary is needed behind **");
            foreach (var (key, value) in dict.Entries)
            {
                if (key is not string name || !named.TryAdd(name, value))
                    throw new JinjaFault("an argument behind ** is given twice or has no name");
            }
        }
        return new Arguments(positional, named);
    }
}
