using Polymath.Training.Objectives;

namespace Polymath.Training;

/// <summary>A place in a stream of items, from which reading can continue directly.</summary>
/// <param name="Epoch">The pass over the items.</param>
/// <param name="Place">The place in that pass's order.</param>
public readonly record struct Cursor(long Epoch, int Place);

/// <summary>An endless stream of items, read from a cursor that a checkpoint keeps.</summary>
public abstract class ItemSource
{
    /// <summary>The place of the next item.</summary>
    public Cursor Cursor { get; set; }

    /// <summary>The items of a pass.</summary>
    public abstract int Count { get; }

    /// <summary>Prepares for a step: a source that samples new items does it here.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    public virtual void Prepare(int step, CancellationToken cancellation)
    {
    }

    /// <summary>The item at a cursor.</summary>
    /// <param name="cursor">The cursor.</param>
    protected abstract Item At(Cursor cursor);

    /// <summary>The next items: as many as fit into a number of tokens, at least one.</summary>
    /// <param name="tokens">The tokens.</param>
    public IReadOnlyList<Item> Take(int tokens)
    {
        var items = new List<Item>();
        for (var left = tokens; ;)
        {
            var next = At(Cursor);
            if (items.Count > 0 && next.Tokens > left) return items;
            items.Add(next);
            left -= next.Tokens;
            Cursor = Cursor.Place + 1 < Count ? Cursor with { Place = Cursor.Place + 1 } : new Cursor(Cursor.Epoch + 1, 0);
        }
    }

    /// <summary>The number of steps for reading the items a number of times.</summary>
    /// <param name="epochs">The number of times.</param>
    /// <param name="tokens">The tokens of a step.</param>
    public int StepsFor(double epochs, int tokens)
    {
        var kept = Cursor;
        var goal = epochs * Count;
        var steps = 0;
        while (Cursor.Epoch * (double)Count + Cursor.Place < goal)
        {
            Take(tokens);
            steps++;
        }
        Cursor = kept;
        return Math.Max(1, steps);
    }
}
