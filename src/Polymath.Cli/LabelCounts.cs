namespace Polymath.Cli;

/// <summary>How often the labels of rows were met: accuracy, counts of each label, confusion.</summary>
internal sealed class LabelCounts
{
    private readonly List<(string Wanted, string Given)> pairs = [];

    internal void Add(string wanted, string given) => pairs.Add((wanted, given));

    /// <summary>Writes the figures to the error output, beside the rows; nothing when there is no label.</summary>
    /// <param name="field">The field with the labels.</param>
    internal void Tell(string field)
    {
        if (pairs.Count == 0) return;
        var right = pairs.Count(pair => pair.Wanted == pair.Given);
        Noted.Tell($"accuracy {(double)right / pairs.Count:F4}: {right:N0} of {pairs.Count:N0} rows with '{field}'");
        List<string> labels = [.. pairs.SelectMany(pair => new[] { pair.Wanted, pair.Given }).Distinct().Order(StringComparer.Ordinal)];
        var width = Math.Max("label".Length, labels.Max(label => label.Length));
        int Count(Func<(string Wanted, string Given), bool> of) => pairs.Count(of);
        var heading = string.Concat(labels.Select(label => $"  {label,6}"));
        Console.Error.WriteLine($"{"label".PadRight(width)}    rows   right   given  | given as{heading}");
        foreach (var label in labels)
        {
            var given = labels.Select(other => $"  {Count(pair => pair == (label, other)).ToString().PadLeft(Math.Max(6, other.Length))}");
            Console.Error.WriteLine($"{label.PadRight(width)}  {Count(pair => pair.Wanted == label),6}  "
                + $"{Count(pair => pair == (label, label)),6}  {Count(pair => pair.Given == label),6}  |         {string.Concat(given)}");
        }
    }
}
