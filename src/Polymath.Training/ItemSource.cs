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

    /// <summary>The tokens of a pass; null where they are not known before.</summary>
    public virtual long? Tokens => null;

    /// <summary>Prepares for a step: a source that samples new items does it here.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    public virtual void Prepare(int step, CancellationToken cancellation)
    {
    }

    /// <summary>
    /// Prepares for a look at the items before the first step, of which nothing is recorded; that step is prepared again.
    /// </summary>
    /// <param name="cancellation">Stops between two tokens.</param>
    public virtual void PrepareLook(CancellationToken cancellation)
    {
    }

    /// <summary>The item at a cursor.</summary>
    /// <param name="cursor">The cursor.</param>
    protected abstract Item At(Cursor cursor);

    /// <summary>The number of items after which no more are taken, over all passes; null for no end.</summary>
    public long? Limit { get; private set; }

    /// <summary>Whether a step may go on into the next pass. If not, the last step of a pass may be smaller.</summary>
    public bool CrossesEpochs { get; set; }

    /// <summary>The passes that are done, a part of one as a share.</summary>
    public double Epochs => Count == 0 ? 0 : Cursor.Epoch + (double)Cursor.Place / Count;

    private long Taken => Cursor.Epoch * Count + Cursor.Place;

    /// <summary>The next items: as many as fit, at least one.</summary>
    /// <param name="tokens">The most tokens.</param>
    /// <param name="rows">The most items.</param>
    public IReadOnlyList<Item> Take(int tokens, int rows = int.MaxValue)
    {
        var items = new List<Item>();
        for (var left = tokens; items.Count < rows;)
        {
            var next = At(Cursor);
            if (items.Count > 0 && next.Tokens > left) break;
            items.Add(next);
            left -= next.Tokens;
            Cursor = Cursor.Place + 1 < Count ? Cursor with { Place = Cursor.Place + 1 } : new Cursor(Cursor.Epoch + 1, 0);
            if (Taken >= Limit || (Cursor.Place == 0 && !CrossesEpochs)) break;
        }
        return items;
    }

    /// <summary>Sets <see cref="Limit"/> to a number of passes, and counts the steps from the cursor to there.</summary>
    /// <param name="epochs">The number of passes.</param>
    /// <param name="tokens">The most tokens of a step.</param>
    /// <param name="rows">The most items of a step.</param>
    public int StepsFor(double epochs, int tokens, int rows = int.MaxValue)
    {
        var kept = Cursor;
        Limit = Math.Max(1, (long)Math.Ceiling(epochs * Count - 1e-9));
        var steps = 0;
        for (; Taken < Limit; steps++)
            Take(tokens, rows);
        Cursor = kept;
        return steps;
    }
}
