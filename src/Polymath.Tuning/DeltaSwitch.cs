namespace Polymath.Tuning;

/// <summary>The shared state of all deltas of a set: whether they apply, and whether they are being trained.</summary>
public sealed class DeltaSwitch
{
    /// <summary>Whether the deltas apply.</summary>
    public bool On { get; set; } = true;

    /// <summary>Whether they are being trained (dropout applies).</summary>
    public bool Training { get; set; }
}
