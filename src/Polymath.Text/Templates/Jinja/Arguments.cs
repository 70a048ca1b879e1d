namespace Polymath.Text.Templates.Jinja;

/// <summary>The arguments of a call.</summary>
/// <param name="Positional">Those without a name, in order.</param>
/// <param name="Named">Those with a name.</param>
internal sealed record Arguments(IReadOnlyList<object> Positional, IReadOnlyDictionary<string, object> Named)
{
    /// <summary>Assigns the arguments to the parameters of a signature.</summary>
    /// <param name="function">The function's name in messages.</param>
    /// <param name="signature">The parameters' names in order, separated by spaces; <c>?</c> follows those that may be left out.</param>
    /// <returns>The arguments in the signature's order; null for those that were left out.</returns>
    public object?[] Bind(string function, string signature)
    {
        var names = signature.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (Positional.Count > names.Length)
            throw new JinjaFault($"{function} takes {names.Length} arguments, found {Positional.Count}");
        var bound = new object?[names.Length];
        for (var i = 0; i < Positional.Count; i++) bound[i] = Positional[i];
        foreach (var (name, value) in Named)
        {
            var place = Array.FindIndex(names, known => known.TrimEnd('?') == name);
            if (place < 0 || bound[place] is not null)
                throw new JinjaFault($"{function} has {(place < 0 ? "no argument" : "two values for")} "
                    + $"'{name}'{(names.Length > 0 ? $"; it takes {signature}" : "")}");
            bound[place] = value;
        }
        for (var i = 0; i < names.Length; i++)
        {
            if (bound[i] is null && !names[i].EndsWith('?'))
                throw new JinjaFault($"{function} lacks the argument '{names[i]}'");
        }
        return bound;
    }
}

/// <summary>The code of a filter, test or method: it gets the value, and the arguments in the signature's order.</summary>
internal delegate object RoutineBody(Machine machine, object value, object?[] arguments);

/// <summary>A filter, test or method with its signature.</summary>
/// <param name="Signature">As for <see cref="Arguments.Bind"/>; <c>*</c> accepts all arguments, as a tuple and a dictionary.</param>
/// <param name="Body">What it does.</param>
internal sealed record Routine(string Signature, RoutineBody Body)
{
    /// <summary>Runs it.</summary>
    public object Run(Machine machine, string name, object value, Arguments arguments) =>
        Body(machine, value, Signature == "*" ? [arguments] : arguments.Bind(name, Signature));
}

/// <summary>A collection of routines by name.</summary>
internal sealed class Routines : Dictionary<string, Routine>
{
    /// <summary>An empty collection.</summary>
    public Routines()
        : base(StringComparer.Ordinal)
    {
    }

    /// <summary>Adds a routine.</summary>
    public void Add(string name, string signature, RoutineBody body) => Add(name, new(signature, body));
}
