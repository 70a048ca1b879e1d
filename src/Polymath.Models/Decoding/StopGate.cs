namespace Polymath.Models.Decoding;

/// <summary>
/// Passes text on until the first of some stop texts. Text that may be the start of a stop text is held back until this is decided.
/// </summary>
/// <param name="stops">The stop texts, none of them empty.</param>
public sealed class StopGate(IReadOnlyList<string> stops)
{
    private string held = "";

    /// <summary>Whether a stop text was found.</summary>
    public bool Stopped { get; private set; }

    /// <summary>Takes the next piece of text.</summary>
    /// <param name="text">The piece.</param>
    /// <returns>The text that can be shown now.</returns>
    public string Pass(string text)
    {
        if (Stopped) return "";
        held += text;
        var met = stops.Select(stop => held.IndexOf(stop, StringComparison.Ordinal)).Where(at => at >= 0).DefaultIfEmpty(-1).Min();
        if (met >= 0)
        {
            Stopped = true;
            return Take(met);
        }
        // The longest end of the text that is the start of a stop text is held back.
        var kept = stops.Select(stop => Enumerable.Range(1, Math.Min(stop.Length - 1, held.Length))
            .LastOrDefault(length => held.EndsWith(stop[..length], StringComparison.Ordinal))).DefaultIfEmpty(0).Max();
        return Take(held.Length - kept);
    }

    /// <summary>The text that is still held back when the text ends without a stop.</summary>
    public string Rest() => Stopped ? "" : Take(held.Length);

    private string Take(int length)
    {
        var given = held[..length];
        held = held[length..];
        return given;
    }
}
