namespace Polymath.Models;

/// <summary>Says which deltas apply to which rows: told of each batch before it goes through the model.</summary>
public abstract class RowRouter
{
    /// <summary>A batch is about to go through the model.</summary>
    /// <param name="batch">The batch.</param>
    public abstract void Enter(Batch batch);

    /// <summary>Says by which sources the rows come whose answers are generated next.</summary>
    /// <param name="data">For each row the name of its source.</param>
    public abstract void Expect(IReadOnlyList<string?> data);

    /// <summary>
    /// Which of the expected rows the answer in a slot belongs to. The slot of that number, unless a generator says otherwise, which takes
    /// many rows by parts, or has several slots for one row.
    /// </summary>
    public Func<int, int> RowOf { get; set; } = slot => slot;
}
