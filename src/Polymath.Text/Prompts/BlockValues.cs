namespace Polymath.Text.Prompts;

/// <summary>The values of a block's keys, each of the kind that its key needs.</summary>
/// <param name="scan">For messages.</param>
/// <param name="values">The values by key, with their places.</param>
/// <param name="start">Where the block begins.</param>
internal sealed class BlockValues(BlockScanner scan, Dictionary<string, (object? Content, int Position)> values, int start)
{
    public string? Text(string key) => values.GetValueOrDefault(key).Content switch
    {
        null => null,
        string text => text,
        _ => throw scan.Fault($"'{key}' needs a text in quotes.", values[key].Position),
    };

    public string Needed(string key) => Text(key) ?? throw scan.Fault($"'{key}' needs a text in quotes.", start);

    public int? Positive(string key) => values.GetValueOrDefault(key).Content switch
    {
        null => null,
        int number and > 0 => number,
        var other => throw scan.Fault($"'{key}' is a whole number above zero, not '{other}'.", values[key].Position),
    };

    public bool? Flag(string key) => values.GetValueOrDefault(key).Content switch
    {
        null => null,
        bool flag => flag,
        int number => number != 0,
        "True" or "true" => true,
        var other => throw scan.Fault($"'{key}' is True or False, not '{other}'.", values[key].Position),
    };

    public TextFilter Filter(string key) => values.GetValueOrDefault(key).Content as TextFilter ?? TextFilter.None;
}
