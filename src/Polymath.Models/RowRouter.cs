namespace Polymath.Models;

/// <summary>Chooses the deltas of each row. It is called with each batch before the batch goes through the model.</summary>
public abstract class RowRouter
{
    /// <summary>Called before a batch goes through the model.</summary>
    /// <param name="batch">The batch.</param>
    public abstract void Enter(Batch batch);

    /// <summary>Sets the sources of the rows whose answers are generated next.</summary>
    /// <param name="data">For each row the name of its source.</param>
    public abstract void Expect(IReadOnlyList<string?> data);

    /// <summary>
    /// The expected row that the answer in a slot belongs to. It is the row with the slot's number, unless a generator that works in parts,
    /// or with several slots for one row, says otherwise.
    /// </summary>
    public Func<int, int> RowOf { get; set; } = slot => slot;
}
