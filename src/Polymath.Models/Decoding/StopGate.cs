namespace Polymath.Models.Decoding;

/// <summary>
/// Lets text through up to the first of some stop texts; what may be the beginning of one is held back until it is known.
/// </summary>
/// <param name="stops">The stop texts, none of them empty.</param>
public sealed class StopGate(IReadOnlyList<string> stops)
{
    private string held = "";

    /// <summary>Whether a stop text was met.</summary>
    public bool Stopped { get; private set; }

    /// <summary>Takes the next piece of text.</summary>
    /// <param name="text">The piece.</param>
    /// <returns>What can be shown by now.</returns>
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
        // The longest end of the text that begins a stop text stays.
        var kept = stops.Select(stop => Enumerable.Range(1, Math.Min(stop.Length - 1, held.Length))
            .LastOrDefault(length => held.EndsWith(stop[..length], StringComparison.Ordinal))).DefaultIfEmpty(0).Max();
        return Take(held.Length - kept);
    }

    /// <summary>What was held back when the text has ended without a stop.</summary>
    public string Rest() => Stopped ? "" : Take(held.Length);

    private string Take(int length)
    {
        var given = held[..length];
        held = held[length..];
        return given;
    }
}
