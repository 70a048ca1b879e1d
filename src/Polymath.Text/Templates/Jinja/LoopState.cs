using System.Numerics;

namespace Polymath.Text.Templates.Jinja;

/// <summary>The object <c>loop</c> inside a loop's body.</summary>
internal sealed class LoopState
{
    private readonly IReadOnlyList<object> items;
    private readonly int depth;
    private object? lastChanged;

    /// <summary>A loop over some items.</summary>
    /// <param name="items">The items.</param>
    /// <param name="depth">How many loops of the same statement are around it.</param>
    /// <param name="again">Runs the same body over other items; null when the loop is not recursive.</param>
    public LoopState(IReadOnlyList<object> items, int depth, Func<Machine, Arguments, object>? again)
    {
        (this.items, this.depth) = (items, depth);
        Value = new ObjectValue(
            "LoopContext", Find, again ?? ((_, _) => throw new JinjaFault("the loop is called, but it is not marked 'recursive'")));
    }

    /// <summary>The place of the current item, from 0.</summary>
    public int Index { get; set; }

    /// <summary>The value of <c>loop</c>.</summary>
    public ObjectValue Value { get; }

    private object? Find(string name) => name switch
    {
        "index" => new BigInteger(Index + 1),
        "index0" => new BigInteger(Index),
        "revindex" => new BigInteger(items.Count - Index),
        "revindex0" => new BigInteger(items.Count - Index - 1),
        "length" => new BigInteger(items.Count),
        "first" => Index == 0,
        "last" => Index == items.Count - 1,
        "depth" => new BigInteger(depth + 1),
        "depth0" => new BigInteger(depth),
        "previtem" => Index > 0 ? items[Index - 1] : new Undefined("there is no previous item"),
        "nextitem" => Index + 1 < items.Count ? items[Index + 1] : new Undefined("there is no next item"),
        "cycle" => new Callable("cycle", (_, arguments) => arguments.Positional.Count > 0
            ? arguments.Positional[Index % arguments.Positional.Count] : throw new JinjaFault("there is nothing to cycle through")),
        "changed" => new Callable("changed", (machine, arguments) =>
        {
            var now = new TupleValue(arguments.Positional);
            var changed = lastChanged is null || !machine.Equal(lastChanged, now);
            lastChanged = now;
            return changed;
        }),
        _ => null,
    };
}
