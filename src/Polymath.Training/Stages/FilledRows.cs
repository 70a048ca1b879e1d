using Polymath.Text.Packing;

namespace Polymath.Training.Stages;

/// <summary>
/// Lays documents end to end and cuts rows of one length, as run_clm's <c>group_texts</c> does. Neighbouring rows share one token, so that
/// every token but the very first is a target. The rest becomes a shorter row. Rows of different sources stay apart.
/// </summary>
/// <param name="length">The tokens of a row.</param>
internal sealed class FilledRows(int length)
{
    private readonly List<int> ids = [];
    private readonly List<float> learn = [];
    private string source = "";
    private string? data;

    /// <summary>The documents so far.</summary>
    internal int Documents { get; private set; }

    /// <summary>Adds a document.</summary>
    /// <param name="document">Its tokens.</param>
    /// <returns>The rows that are full.</returns>
    internal IEnumerable<TokenRow> Add(TokenRow document)
    {
        var rows = new List<TokenRow>();
        if (data != document.Data && Rest() is { } rest)
            rows.Add(rest);
        Documents++;
        data = document.Data;
        if (ids.Count <= 1)
            source = document.Source;
        ids.AddRange(document.Ids);
        learn.AddRange(document.Learn);
        var at = 0;
        for (; ids.Count - at >= length; at += length - 1)
        {
            rows.Add(Row(at, length));
            source = document.Source;
        }
        ids.RemoveRange(0, at);
        learn.RemoveRange(0, at);
        return rows.Where(row => row.Targets > 0);
    }

    /// <summary>What is left; null where it holds no target.</summary>
    internal TokenRow? Rest()
    {
        TokenRow? rest = ids.Count > 1 && Row(0, ids.Count) is { Targets: > 0 } row ? row : null;
        ids.Clear();
        learn.Clear();
        return rest;
    }

    private TokenRow Row(int at, int count) => new([.. ids.Skip(at).Take(count)], [.. learn.Skip(at).Take(count)], source, data);
}
